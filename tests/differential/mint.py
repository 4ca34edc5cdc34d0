"""The settings that tokens are judged in, and the mint that makes them from a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import keys
from .keys import encode
from .reference import ALGORITHMS

Json = dict[str, Any]

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NOW = 1_800_000_000
AUTH = "https://auth.example.com"
OTHER = "https://login.example.org/tenant"
RESOURCE = "https://mcp.example.com/mcp"
LAST_SECOND = 253_402_300_799
# RSA has two fixed keys and ES384 is slow: mutations need neither, nor PSS with its random salts.
REPEATABLE = ("RS256", "ES256", "ES256K", "EdDSA")
ABSENT = object()


@dataclass(frozen=True)
class Case:
    """One token, and what the filter is to say of it; `None` where only the two are compared."""

    kind: str
    setting: str
    token: str
    expected: str | None
    now: int = NOW


def _set(number: int) -> Json:
    return {
        "keys": [keys.jwk(alg, number, kid=alg.lower(), alg=alg, use="sig") for alg in ALGORITHMS]
    }


def _small_order() -> str:
    """The neutral element of Ed25519: with it as the key, one signature fits every message."""
    return encode(b"\x01" + bytes(31))


def odd_keys() -> Json:
    good = keys.jwk("ES256", 0, kid="good", alg="ES256")
    ed = keys.jwk("EdDSA", 0)
    rsa = keys.jwk("RS256", 0)
    return {
        "keys": [
            good | {"kid": "use-enc", "use": "enc"},
            good | {"kid": "ops-sign", "key_ops": ["sign"]},
            good | {"kid": "private", "d": encode((1_000_003).to_bytes(32))},
            good | {"kid": "padded", "x": good["x"] + "="},
            good | {"kid": "off-curve", "y": good["x"]},
            good | {"kid": "other-curve", "crv": "P-384"},
            good | {"kid": "short-x", "x": good["x"][:-4]},
            good | {"kid": "unknown-kty", "kty": "XX"},
            good | {"kid": "unknown-alg", "alg": "ES999"},
            good | {"kid": "alg-of-rsa", "alg": "RS256"},
            {"kty": "OKP", "crv": "Ed25519", "x": _small_order(), "kid": "small-order"},
            ed | {"kid": "ed-long", "x": ed["x"] + "AAAA"},
            rsa | {"kid": "exponent-3", "e": "Aw"},
            rsa | {"kid": "rsa-512-bits", "n": encode(b"\xc1" * 64)},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "symmetric"},
            good | {"kid": "twice", "x": keys.jwk("ES256", 1)["x"], "y": keys.jwk("ES256", 1)["y"]},
            good | {"kid": "twice"},
            good,
        ]
    }


def _setting(issuer: Json | None = None, resource: str = RESOURCE, **members: Any) -> Json:
    first = {"issuer": AUTH, "jwks": _set(0)} | (issuer or {})
    second = {"issuer": OTHER, "jwks": _set(1)}
    return {"issuers": [first, second], "resources": [{"resource": resource}]} | members


SETTINGS: dict[str, tuple[Json, str]] = {
    "usual": (_setting(), "/mcp"),
    "strict": (
        _setting(
            {
                "algorithms": ["ES256", "EdDSA"],
                "token_types": ["at+jwt"],
                "clock_skew_seconds": 0,
                "max_token_lifetime_seconds": 3600,
            }
        ),
        "/mcp",
    ),
    "bare": (_setting(resource="https://mcp.example.com"), "/any"),
    "audiences": (
        _setting({"audiences": ["api://backend", "https://b.example/", "Z\u00fcrich"]}),
        "/mcp",
    ),
    "without-alg": (
        _setting({"jwks": {"keys": [keys.jwk(alg, kid=alg.lower()) for alg in ALGORITHMS]}}),
        "/mcp",
    ),
    "without-kid": (
        _setting(
            {
                "jwks": {
                    "keys": [keys.jwk("RS256")]
                    + [keys.jwk("ES256", number) for number in range(6)]
                    + [keys.jwk("EdDSA", number) for number in range(2)]
                }
            }
        ),
        "/mcp",
    ),
    "odd-keys": (_setting({"jwks": odd_keys()}), "/mcp"),
    "short": (_setting(limits={"token_bytes": 700}), "/mcp"),
}


class Mint:
    """Makes tokens; what no case asks for is chosen at random."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def claims(self, **changes: Any) -> Json:
        rng = self.rng
        claims: Json = {
            "iss": AUTH,
            "aud": RESOURCE,
            "exp": NOW + rng.randrange(1, 3000),
            "iat": NOW - rng.randrange(0, 600),
            "sub": rng.choice(["alice", "b\u00f6b", "\u7528\u6237", "auth0|1", ""]),
            "jti": f"{rng.getrandbits(64):x}",
            "client_id": "cli",
            "scope": rng.choice(["mcp:read", "mcp:read mcp:write", ""]),
        }
        return merged(claims, changes)

    def header(self, alg: str, **changes: Any) -> Json:
        return merged({"alg": alg, "kid": alg.lower(), "typ": "at+jwt"}, changes)

    def token(
        self,
        alg: str = "ES256",
        number: int = 0,
        header: Json | str | bytes | None = None,
        claims: Json | str | bytes | None = None,
        sign_as: str | None = None,
    ) -> str:
        header = self.header(alg) if header is None else header
        claims = self.claims() if claims is None else claims
        message = f"{encode(as_bytes(header))}.{encode(as_bytes(claims))}"
        signature = keys.sign(sign_as or alg, message.encode(), number)
        return f"{message}.{encode(signature)}"

    def with_signature(self, alg: str, make: Callable[[bytes], bytes], **header: Any) -> str:
        parts = (as_bytes(self.header(alg, **header)), as_bytes(self.claims()))
        message = ".".join(encode(part) for part in parts)
        return f"{message}.{encode(make(message.encode()))}"


def merged(members: Json, changes: Json) -> Json:
    members = members | changes
    return {name: value for name, value in members.items() if value is not ABSENT}


def as_bytes(part: Json | str | bytes) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return part.encode("utf-8", "surrogatepass")
    return json.dumps(part, separators=(",", ":")).encode()


Some = Iterator[tuple[str, str, str | None]]


class Kinds:
    """Families of kinds: the members of each are `family/member`, setting, token, expected."""

    def __init__(self) -> None:
        self.families: list[tuple[str, Callable[[Mint], Some]]] = []

    def __call__(self, make: Callable[[Mint], Some]) -> Callable[[Mint], Some]:
        self.families.append((make.__name__.replace("_", "-"), make))
        return make


def flipped(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)
