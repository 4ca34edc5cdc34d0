"""Tokens, good ones and broken ones, from recipes that are plain data.

A recipe is a JSON object; every member is optional:

    key            name of the signing key in tests/cases/keys.json
    alg            the header's `alg` and how it is signed; default: the key's own
    header         members of the JOSE header, over {alg, typ: at+jwt, kid}; null removes
    claims         members of the payload, over the given defaults; null removes
    append_claims  text put before the payload's last brace (a second member of a name)
    raw_header, raw_claims   the text of a whole part, whatever the rest says
    sign           `hmac-of-public-key` (HS256 keyed with the public key) or `nothing`
    pad_to         claim `pad` is added until the token has at least this many bytes
    damage         one of DAMAGES, done last

`{"$now": n}` anywhere in it stands for the time of minting plus n seconds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import jwt.algorithms
from cryptography.hazmat.primitives import serialization

from .paths import CASES

Json = dict[str, Any]

_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PUBLIC_MEMBERS = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")


@cache
def _private_keys() -> dict[str, Json]:
    return json.loads((CASES / "keys.json").read_text())["keys"]


def public_jwk(name: str) -> Json:
    private = _private_keys()[name]
    return {member: private[member] for member in _PUBLIC_MEMBERS if member in private}


def jwks(names: Iterable[str]) -> Json:
    return {"keys": [public_jwk(name) for name in names]}


def mint(recipe: Mapping[str, Any] | None = None, defaults: Mapping[str, Any] | None = None) -> str:
    """The token that the recipe describes; `defaults` are claims."""
    if recipe and "verbatim" in recipe:
        return recipe["verbatim"]
    now = int(time.time())
    recipe = dict(_resolve(dict(recipe or {}), now))
    key_name = recipe.get("key", "rsa-1")
    key = _private_keys()[key_name]
    alg: str = recipe.get("alg") or key["alg"]
    header = _merged({"alg": alg, "typ": "at+jwt", "kid": key["kid"]}, recipe.get("header", {}))
    claims = _merged(
        _merged({"iat": now, "exp": now + 300}, _resolve(dict(defaults or {}), now)),
        recipe.get("claims", {}),
    )
    token = _assemble(recipe, header, claims, key_name, alg)
    if (size := recipe.get("pad_to", 0)) > len(token):
        claims["pad"] = "x" * ((size - len(token)) * 3 // 4 + 16)
        token = _assemble(recipe, header, claims, key_name, alg)
    return DAMAGES[recipe["damage"]](token) if "damage" in recipe else token


def _assemble(
    recipe: Mapping[str, Any], header: Json, claims: Json, key_name: str, alg: str
) -> str:
    header_text = recipe.get("raw_header") or json.dumps(header, separators=(",", ":"))
    claims_text = recipe.get("raw_claims") or json.dumps(claims, separators=(",", ":"))
    if "append_claims" in recipe:
        claims_text = f"{claims_text[:-1]},{recipe['append_claims']}}}"
    signed = f"{encode(header_text.encode())}.{encode(claims_text.encode())}"
    return f"{signed}.{encode(_signature(recipe.get('sign'), signed.encode(), key_name, alg))}"


def _signature(how: str | None, signed: bytes, key_name: str, alg: str) -> bytes:
    match how:
        case None:
            algorithm = jwt.algorithms.get_default_algorithms()[alg]
            return algorithm.sign(signed, algorithm.from_jwk(_private_keys()[key_name]))
        case "nothing":
            return b""
        case "hmac-of-public-key":
            return hmac.new(_public_pem(key_name), signed, hashlib.sha256).digest()
        case _:
            raise ValueError(f"unknown way to sign: {how}")


def _public_pem(key_name: str) -> bytes:
    algorithm = jwt.algorithms.get_default_algorithms()[_private_keys()[key_name]["alg"]]
    return algorithm.from_jwk(public_jwk(key_name)).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def encode(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def unverified_claims(token: str) -> Json:
    return json.loads(decode(token.split(".")[1]))


def _flip_signature_bit(token: str) -> str:
    head, _, signature = token.rpartition(".")
    data = bytearray(decode(signature))
    data[len(data) // 2] ^= 1
    return f"{head}.{encode(bytes(data))}"


def _change_payload(token: str) -> str:
    header, payload, signature = token.split(".")
    claims = json.loads(decode(payload))
    claims["sub"] = "mallory"
    return f"{header}.{encode(json.dumps(claims).encode())}.{signature}"


def _set_trailing_bits(token: str) -> str:
    """The same bytes for a lenient decoder: the last character's unused bits are set."""
    last = _BASE64URL.index(token[-1])
    if len(token.rpartition(".")[2]) % 4 not in (2, 3):
        raise ValueError("this signature's length leaves no unused bits")
    return token[:-1] + _BASE64URL[last | 1]


DAMAGES: dict[str, Callable[[str], str]] = {
    "signature": _flip_signature_bit,
    "payload": _change_payload,
    "trailing-bits": _set_trailing_bits,
    "padding": lambda token: token + "=",
    "no-signature-part": lambda token: token.rpartition(".")[0],
    "empty-signature": lambda token: token.rpartition(".")[0] + ".",
    "four-parts": lambda token: token + ".AAAA",
    "not-base64": lambda token: token.replace(".", ".!", 1),
    "empty-header": lambda token: token[token.index(".") :],
}


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    merged = {**base, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _resolve(value: Any, now: int) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$now"}:
            return now + value["$now"]
        return {name: _resolve(one, now) for name, one in value.items()}
    if isinstance(value, list):
        return [_resolve(one, now) for one in value]
    return value
