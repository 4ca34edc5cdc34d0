"""The other implementation: PyJWT, told to be as strict as it can, on the filter's configuration."""

from __future__ import annotations

import datetime as dates
import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jwt

Json = dict[str, Any]

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "ES256K", "EdDSA"),
)
OPTIONS: Any = {
    "require": ["exp", "iss", "aud"],
    "enforce_minimum_key_length": True,
    "verify_iat": True,
    "verify_nbf": True,
    "verify_sub": True,
    "verify_jti": True,
}


class Refused(Exception):
    """By what PyJWT leaves to its caller: whose token it is, and by which key."""


def judge(config: Json, token: str, now: int) -> str:
    """`allow`, or the name of the exception that PyJWT raised."""
    with mock.patch("jwt.api_jwt.datetime", _Clock(now)):
        try:
            _decode(config, token)
        except (Refused, jwt.PyJWTError) as error:
            return type(error).__name__
    return "allow"


class _Clock:
    """In place of the class `datetime`, of which PyJWT takes the time."""

    def __init__(self, now: int) -> None:
        self._now = dates.datetime.fromtimestamp(now, tz=dates.UTC)

    def now(self, tz: dates.tzinfo) -> dates.datetime:
        return self._now.astimezone(tz)


def _decode(config: Json, token: str) -> None:
    decoded = jwt.decode_complete(token, options={"verify_signature": False})
    header, claims = decoded["header"], decoded["payload"]
    issuers = [known for known in config["issuers"] if known["issuer"] == claims.get("iss")]
    if not issuers:
        raise Refused
    issuer = issuers[0]
    failure: Exception = Refused()
    for key in _keys(issuer["jwks"], header.get("kid"), header.get("alg")):
        try:
            jwt.decode(
                token,
                key,
                algorithms=issuer.get("algorithms", ALGORITHMS),
                options=OPTIONS,
                audience=issuer.get("audiences", [config["resources"][0]["resource"]]),
                issuer=issuer["issuer"],
                leeway=issuer.get("clock_skew_seconds", 60),
            )
            return
        except jwt.PyJWTError as error:
            failure = error
    raise failure


def _keys(jwks: Json, kid: object, alg: object) -> Iterator[jwt.PyJWK]:
    """As `PyJWKClient` chooses: by `kid`, and `use`. Without a `kid` every key is tried."""
    if alg not in ALGORITHMS:
        return
    for jwk in jwks["keys"]:
        if jwk.get("use", "sig") != "sig" or (kid is not None and jwk.get("kid") != kid):
            continue
        try:
            yield _key(json.dumps(jwk), str(jwk.get("alg") or alg))
        except jwt.PyJWTError:
            continue


_MADE: dict[tuple[str, str], jwt.PyJWK] = {}


def _key(jwk: str, alg: str) -> jwt.PyJWK:
    if (jwk, alg) not in _MADE:
        _MADE[jwk, alg] = jwt.PyJWK.from_json(jwk, alg)
    return _MADE[jwk, alg]
