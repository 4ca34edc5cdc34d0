"""Tokens, good ones and ones that are broken in every way that has a name; the same in every run."""

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


def _odd_keys() -> Json:
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
    "odd-keys": (_setting({"jwks": _odd_keys()}), "/mcp"),
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
        return _changed(claims, changes)

    def header(self, alg: str, **changes: Any) -> Json:
        return _changed({"alg": alg, "kid": alg.lower(), "typ": "at+jwt"}, changes)

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
        message = f"{encode(_bytes(header))}.{encode(_bytes(claims))}"
        signature = keys.sign(sign_as or alg, message.encode(), number)
        return f"{message}.{encode(signature)}"

    def with_signature(self, alg: str, make: Callable[[bytes], bytes], **header: Any) -> str:
        parts = (_bytes(self.header(alg, **header)), _bytes(self.claims()))
        message = ".".join(encode(part) for part in parts)
        return f"{message}.{encode(make(message.encode()))}"


def _changed(members: Json, changes: Json) -> Json:
    members = members | changes
    return {name: value for name, value in members.items() if value is not ABSENT}


def _bytes(part: Json | str | bytes) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return part.encode("utf-8", "surrogatepass")
    return json.dumps(part, separators=(",", ":")).encode()


Some = Iterator[tuple[str, str, str | None]]
_KINDS: list[tuple[str, Callable[[Mint], Some]]] = []


def _kind(make: Callable[[Mint], Some]) -> Callable[[Mint], Some]:
    """Registers a family of kinds: its members are `family/member`, setting, token, expected."""
    _KINDS.append((make.__name__.replace("_", "-"), make))
    return make


def generate() -> list[Case]:
    cases = []
    for family, make in _KINDS:
        for kind, token, expected in make(Mint(random.Random(family))):
            member, _, setting = kind.partition("@")
            name = f"{family}: {member}" if member else family
            cases.append(Case(name, setting or "usual", token, expected))
    return cases


@_kind
def good(mint: Mint) -> Some:
    for alg in ALGORITHMS:
        for _ in range(100):
            yield alg, mint.token(alg), "allow"
        for _ in range(10):
            yield f"{alg}, key without alg@without-alg", mint.token(alg), "allow"
            header = mint.header(alg, kid=ABSENT)
            yield f"{alg}, no kid", mint.token(alg, header=header), "allow"
        for _ in range(10):
            claims = mint.claims(iss=OTHER)
            yield f"{alg}, the other issuer", mint.token(alg, 1, claims=claims), "allow"
    for alg in ("ES256", "EdDSA"):
        for _ in range(20):
            claims = mint.claims(exp=NOW + 1000)
            yield "strict policy@strict", mint.token(alg, claims=claims), "allow"
    for number in range(4):
        header = mint.header("ES256", kid=ABSENT)
        token = mint.token("ES256", number, header=header)
        yield "one of several keys without kid@without-kid", token, "allow"
    for white in (" {} ", "\n{}\r\n", "\t{}"):
        header = white.format(json.dumps(mint.header("ES256"), indent=1))
        claims = white.format(json.dumps(mint.claims(), indent=3, ensure_ascii=False))
        yield "white space in JSON", mint.token(header=header, claims=claims), "allow"
    escaped = json.dumps(mint.claims()).replace('"iss"', r'"\u0069\u0073s"')
    yield "escaped member names", mint.token(claims=escaped), "allow"


@_kind
def signature(mint: Mint) -> Some:
    invalid = "signature_invalid"
    for alg in ALGORITHMS:

        def plain(message: bytes, alg: str = alg) -> bytes:
            return keys.sign(alg, message)

        def changed(change: Callable[[bytes], bytes], alg: str = alg) -> str:
            return mint.with_signature(alg, lambda message: change(keys.sign(alg, message)))

        for _ in range(30):
            yield "one bit", changed(lambda signature: _flip(mint.rng, signature)), invalid
        for _ in range(15):
            yield "by a key of another issuer", mint.token(alg, 1), invalid
            claims = mint.claims(iss=OTHER)
            yield "for another issuer", mint.token(alg, 0, claims=claims), invalid
        for _ in range(5):
            yield "empty", changed(lambda _: b""), invalid
            yield "zeros", changed(lambda signature: bytes(len(signature))), invalid
            yield "ones", changed(lambda signature: b"\xff" * len(signature)), invalid
            yield "too short", changed(lambda signature: signature[:-1]), invalid
            yield "too long", changed(lambda signature: signature + b"\0"), invalid
            yield "zero in front", changed(lambda signature: b"\0" + signature), invalid
            yield "twice", changed(lambda signature: signature * 2), invalid
            yield "reversed", changed(lambda signature: signature[::-1]), invalid
            yield "of nothing", mint.with_signature(alg, lambda _: plain(b"")), invalid
            digest = lambda message: plain(message + b".")  # noqa: E731
            yield "of one byte more", mint.with_signature(alg, digest), invalid
        for other in ALGORITHMS:
            if other != alg:
                yield "by another algorithm", mint.token(alg, sign_as=other), invalid
    for alg in keys.CURVES:
        order = keys.ORDERS[alg]
        for _ in range(20):
            yield (
                "ECDSA in DER",
                mint.with_signature(alg, lambda m, alg=alg: keys.ecdsa_der(alg, m)),
                invalid,
            )
        for kind, change, verdict in (
            ("ECDSA with the other s", lambda r, s, n=order: (r, n - s), "allow"),
            ("ECDSA with r and s exchanged", lambda r, s: (s, r), invalid),
            ("ECDSA with r of zero", lambda r, s: (0, s), invalid),
            ("ECDSA with s of zero", lambda r, s: (r, 0), invalid),
            ("ECDSA with both zero", lambda r, s: (0, 0), invalid),
            ("ECDSA with r of the order", lambda r, s, n=order: (n, s), invalid),
            ("ECDSA with s of the order", lambda r, s, n=order: (r, n), invalid),
        ):
            for _ in range(10):
                token = mint.with_signature(
                    alg,
                    lambda m, alg=alg, change=change: keys.raw_ecdsa(
                        alg, *change(*keys.ecdsa(alg, m))
                    ),
                )
                yield kind, token, verdict
    for _ in range(20):
        token = mint.with_signature("EdDSA", lambda m: _unreduced(keys.sign("EdDSA", m)))
        yield "EdDSA with s not reduced", token, invalid
    for alg in ("PS256", "PS384", "PS512"):
        for salt in (0, 1, 20, 33, 65, 100):
            for _ in range(3):
                token = mint.with_signature(
                    alg, lambda m, alg=alg, salt=salt: keys.pss(alg, m, salt)
                )
                yield "PSS with another salt", token, invalid
    for number in (4, 5):
        header = mint.header("ES256", kid=ABSENT)
        token = mint.token("ES256", number, header=header)
        yield "by a key behind those that are tried@without-kid", token, "too_many_keys"
    for alg in ALGORITHMS:
        for _ in range(20):
            header, payload, signed = mint.token(alg).split(".")
            other = mint.token(alg).split(".")
            yield "payload of another token", f"{header}.{other[1]}.{signed}", invalid
            longer = encode(_bytes(mint.header(alg, cty="JWT")))
            yield "header changed", f"{longer}.{payload}.{signed}", invalid


def _flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _unreduced(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:], "little") + keys.ORDERS["EdDSA"]
    return signature[:32] + s.to_bytes(32, "little")


@_kind
def algorithm(mint: Mint) -> Some:
    refused = "algorithm_not_allowed"
    for name in ("none", "None", "NONE", "nOnE", ""):
        for _ in range(10):
            header = mint.header(name, kid=mint.rng.choice(["es256", "rs256", ABSENT]))
            token = mint.token(header=header)
            yield "none, with a signature", token, refused
            yield "none, without one", token.rpartition(".")[0] + ".", refused
    for name in ("HS256", "HS384", "HS512"):
        for _ in range(10):
            token = mint.with_signature(name, keys.hmac_of_public_key, kid="rs256")
            yield "HMAC of the public key", token, refused
    for name in ("es256", "ES256 ", "RS1", "ES521", "Ed448", "RSA-OAEP", "dir", "A128KW", "\u00e9"):
        for _ in range(5):
            yield "unknown", mint.token(header=mint.header(name, kid="es256")), refused
    for alg in ALGORITHMS:
        if alg not in ("ES256", "EdDSA"):
            for _ in range(5):
                yield "not in the issuer's list@strict", mint.token(alg), refused
    for value in (None, 1, True, ["ES256"], {"alg": "ES256"}, ABSENT):
        for _ in range(3):
            header = mint.header("ES256") | {"alg": value}
            header = _changed(header, {})
            yield "not a string", mint.token(header=header), "token_malformed"
    for _ in range(20):
        header = mint.header("Ed25519", kid=ABSENT)
        yield "Ed25519@without-alg", mint.token("EdDSA", header=header), "allow"
    header = mint.header("ES256") | {"ALG": "none"}
    yield "in capitals beside", mint.token(header=header), "allow"


@_kind
def key(mint: Mint) -> Some:
    for kid in ("", "nope", "ES256", "es256 ", "../es256", "' or 1=1 --", "\u00e9", "k" * 512, "*"):
        for _ in range(5):
            header = mint.header("ES256", kid=kid)
            yield "unknown kid", mint.token(header=header), "key_unknown"
    for alg in ALGORITHMS:
        for other in ALGORITHMS:
            if alg != other:
                header = mint.header(alg, kid=other.lower())
                yield "of another algorithm", mint.token(alg, header=header), "key_mismatch"
                # Without `alg` in the JWK, its kind decides.
                kinds = [("RSA" if name[0] in "RP" else name) for name in (alg, other)]
                expected = "allow" if kinds[0] == kinds[1] else "key_mismatch"
                token = mint.token(alg, header=header)
                yield (
                    f"of {'the same' if expected == 'allow' else 'another'} kind@without-alg",
                    (token),
                    expected,
                )
    for kid in (None, 1, True, ["es256"], {}):
        for _ in range(3):
            header = mint.header("ES256", kid=kid)
            yield "kid is not a string", mint.token(header=header), "token_malformed"
    for _ in range(3):
        header = mint.header("ES256", kid="k" * 513)
        yield "kid is too long", mint.token(header=header), "token_malformed"
    for alg in ("RS384", "ES384", "PS512", "ES256K"):
        header = mint.header(alg, kid=ABSENT)
        expected = "key_unknown" if alg.startswith("ES") else "allow"
        member = "none for the algorithm" if expected == "key_unknown" else "RSA for every scheme"
        yield f"{member}@without-kid", mint.token(alg, header=header), expected
    for jwk in _odd_keys()["keys"]:
        kid = jwk["kid"]
        alg = {"OKP": "EdDSA", "RSA": "RS256"}.get(jwk["kty"], "ES256")
        header = mint.header(alg, kid=kid)
        if kid == "small-order":
            # R is the neutral element, and S is zero.
            token = mint.with_signature(alg, lambda _: b"\x01" + bytes(63), kid=kid)
        else:
            token = mint.token(alg, header=header)
        usable = kid in ("good", "twice")
        yield f"{kid}@odd-keys", token, "allow" if usable else "key_unknown"


@_kind
def token_type(mint: Mint) -> Some:
    for typ in ("at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt", "JWT", "jwt"):
        for _ in range(5):
            yield "accepted", mint.token(header=mint.header("ES256", typ=typ)), "allow"
    yield "absent", mint.token(header=mint.header("ES256", typ=ABSENT)), "allow"
    others = ("id+jwt", "dpop+jwt", "oauth-id-jag+jwt", "JOSE", "", "at+jwt ", "text/at+jwt")
    for typ in (*others, "application/x/at+jwt", "at+jwt;v=1", "at\u002bjwt\u0000"):
        for _ in range(5):
            token = mint.token(header=mint.header("ES256", typ=typ))
            yield "another", token, "token_type_not_allowed"
    for typ in ("JWT", "application/jwt", ABSENT):
        for _ in range(5):
            token = mint.token(header=mint.header("ES256", typ=typ))
            yield "refused by the policy@strict", token, "token_type_not_allowed"
    for typ in (None, 1, ["at+jwt"], {}, False):
        for _ in range(3):
            token = mint.token(header=mint.header("ES256", typ=typ))
            yield "not a string", token, "token_malformed"


@_kind
def critical(mint: Mint) -> Some:
    for extra in (
        {"crit": ["exp"], "exp": 1},
        {"crit": ["x"], "x": 1},
        {"crit": ["x"]},
        {"crit": []},
        {"crit": None},
        {"crit": "b64"},
        {"crit": ["b64"]},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64", "x"], "b64": True, "x": 1},
        {"crit": [1]},
        {"crit": {}},
    ):
        for _ in range(5):
            token = mint.token(header=mint.header("ES256", **extra))
            yield "any", token, "critical_header"
    for _ in range(10):
        token = mint.token(header=mint.header("ES256", crit=["b64"], b64=True))
        yield "b64 as it is anyway", token, "critical_header"


@_kind
def header_member(mint: Mint) -> Some:
    stranger = keys.jwk("ES256", 1)
    for extra in (
        {"jwk": stranger},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["AAAA"]},
        {"x5t": "AAAA", "x5t#S256": "AAAA"},
        {"cty": "JWT", "zip": "DEF", "enc": "A128GCM"},
        {"nonce": {"any": [1, None]}},
    ):
        for _ in range(5):
            header = mint.header("ES256", **extra)
            yield "without meaning", mint.token(header=header), "allow"
            yield "of a stranger's key", mint.token(number=1, header=header), "signature_invalid"
    for _ in range(10):
        yield "b64 without crit", mint.token(header=mint.header("ES256", b64=False)), "allow"


@_kind
def expiry(mint: Mint) -> Some:
    for alg in REPEATABLE:
        for _ in range(75):
            late = NOW - 60 - int(mint.rng.expovariate(1 / 10_000))
            yield "passed", mint.token(alg, claims=mint.claims(exp=late, iat=0)), "expired"
    for exp, expected in (
        (NOW - 61, "expired"),
        (NOW - 60, "expired"),
        (NOW - 59, "allow"),
        (NOW - 59.5, "expired"),
        (NOW - 59 + 0.0, "allow"),
        (NOW + 0.5, "allow"),
        (float(NOW + 100), "allow"),
        (0, "expired"),
        (0.0, "expired"),
        (0.5, "expired"),
        (LAST_SECOND, "allow"),
    ):
        for _ in range(5):
            yield "at the bound", mint.token(claims=mint.claims(exp=exp)), expected
    for exp, expected in ((NOW, "expired"), (NOW + 0.9, "expired"), (NOW + 1, "allow")):
        for _ in range(5):
            claims = mint.claims(exp=exp, iat=NOW - 10)
            yield "at the bound, without tolerance@strict", mint.token(claims=claims), expected
    yield from _dates(mint, "exp")


@_kind
def not_before(mint: Mint) -> Some:
    for alg in REPEATABLE:
        for _ in range(50):
            early = NOW + 61 + int(mint.rng.expovariate(1 / 10_000))
            claims = mint.claims(nbf=early, exp=early + 10)
            yield "to come", mint.token(alg, claims=claims), "not_yet_valid"
    for nbf, expected in (
        (NOW + 61, "not_yet_valid"),
        (NOW + 60, "allow"),
        (NOW + 60.0, "allow"),
        (NOW - 0.5, "allow"),
        (NOW + 59.5, "allow"),
        (0, "allow"),
        (0.0, "allow"),
        (LAST_SECOND, "not_yet_valid"),
    ):
        for _ in range(5):
            yield "at the bound", mint.token(claims=mint.claims(nbf=nbf)), expected
    for _ in range(10):
        claims = mint.claims(nbf=NOW + 60 + mint.rng.uniform(0.1, 0.9))
        yield "a fraction behind the bound", mint.token(claims=claims), "not_yet_valid"
    yield from _dates(mint, "nbf")


@_kind
def issued_at(mint: Mint) -> Some:
    for alg in REPEATABLE:
        for _ in range(50):
            early = NOW + 61 + int(mint.rng.expovariate(1 / 10_000))
            claims = mint.claims(iat=early, exp=early + 10)
            yield "to come", mint.token(alg, claims=claims), "issued_in_future"
    for iat, expected in (
        (NOW + 61, "issued_in_future"),
        (NOW + 60, "allow"),
        (NOW + 60.9, "allow"),
        (NOW - 10**9, "allow"),
        (0, "allow"),
        (ABSENT, "allow"),
    ):
        for _ in range(5):
            yield "at the bound", mint.token(claims=mint.claims(iat=iat)), expected
    for exp, iat in (
        (NOW + 3601, NOW),
        (NOW + 1, NOW - 3600),
        (LAST_SECOND, NOW),
        (NOW + 5, ABSENT),
    ):
        for _ in range(10):
            claims = mint.claims(exp=exp, iat=iat)
            yield "too long before exp@strict", mint.token(claims=claims), "lifetime_too_long"
    for _ in range(5):
        claims = mint.claims(exp=NOW + 3600, iat=NOW)
        yield "just long enough before exp@strict", mint.token(claims=claims), "allow"
    yield from _dates(mint, "iat")


def _dates(mint: Mint, name: str) -> Some:
    """Whatever is no date, wherever a date belongs."""
    malformed = "claims_malformed"
    for kind, values in (
        ("null", [None] if name == "exp" else []),
        ("a string", [str(NOW + 60), f" {NOW}", "1_800_000_060", "soon", "", "1.8e9"]),
        ("a boolean", [True, False]),
        ("a list or an object", [[NOW + 60], [], {}, {"v": NOW}]),
        ("negative", [-1, -0.5, -NOW, -(2**63), -1e300]),
        ("behind the year 9999", [LAST_SECOND + 1, NOW * 1000, 2**63, 2**64 - 1, 1e18, 1e300]),
        ("beyond 64 bits", [2**64, 10**30, -(2**64)]),
    ):
        for value in values:
            for _ in range(3):
                token = mint.token(claims=mint.claims(**{name: value}))
                yield f"{kind}", token, malformed
    for text in ("1e400", "-1e400"):
        claims = json.dumps(mint.claims(**{name: "@"})).replace('"@"', text)
        yield "beyond every number", mint.token(claims=claims), "token_malformed"
    for text in ("01800000000", "+1800000000", "1800000000.", ".5", "0x6b49d200", "1 800"):
        claims = json.dumps(mint.claims(**{name: "@"})).replace('"@"', text)
        yield "no JSON number", mint.token(claims=claims), "token_malformed"
    if name != "iat":
        claims = json.dumps(mint.claims(**{"nbf": NOW, "exp": NOW + 5, name: "@"}))
        yield "with exponent", mint.token(claims=claims.replace('"@"', "1.80000003E+9")), "allow"
    if name == "exp":
        for _ in range(20):
            yield "absent", mint.token(claims=mint.claims(exp=ABSENT)), malformed
    else:
        for _ in range(3):
            yield "null is absent", mint.token(claims=mint.claims(**{name: None})), "allow"


@_kind
def issuer(mint: Mint) -> Some:
    refused = "issuer_not_allowed"
    for alg in REPEATABLE:
        for iss in (
            f"{AUTH}/",
            AUTH.upper(),
            AUTH.replace("https", "http"),
            f"{AUTH}:443",
            f"{AUTH}.evil.example",
            f" {AUTH}",
            f"{AUTH}\u0000",
            "https://evil.example",
            "",
            "https://auth.ex\u0430mple.com",
            f"{AUTH}#{OTHER}",
        ):
            for _ in range(4):
                yield "another", mint.token(alg, claims=mint.claims(iss=iss)), refused
    for iss in (None, 1, True, [AUTH], {"iss": AUTH}, ABSENT):
        for _ in range(5):
            token = mint.token(claims=mint.claims(iss=iss))
            yield "not a string", token, "claims_malformed"


@_kind
def audience(mint: Mint) -> Some:
    refused = "audience_not_allowed"
    for alg in REPEATABLE:
        for aud in (
            f"{RESOURCE}/",
            RESOURCE.upper(),
            RESOURCE[:-1],
            f"{RESOURCE}x",
            f"{RESOURCE}/x",
            f"{RESOURCE}?x",
            "https://mcp.example.com",
            "https://mcp.example.com/",
            "https://other.example.com/mcp",
            "*",
            [f"{RESOURCE}/", "b"],
            ["https://mcp.example.com", ""],
            f"{RESOURCE} b",
        ):
            for _ in range(4):
                yield "another", mint.token(alg, claims=mint.claims(aud=aud)), refused
    for aud in ([RESOURCE], ["b", RESOURCE], [RESOURCE, RESOURCE], ["", RESOURCE]):
        for _ in range(5):
            yield "in a list", mint.token(claims=mint.claims(aud=aud)), "allow"
    for aud in ("", [""]):
        yield "empty", mint.token(claims=mint.claims(aud=aud)), refused
    wrong = (None, 1, True, [], {}, {RESOURCE: 1}, [RESOURCE, 1], [[RESOURCE]], [None], ABSENT)
    for aud in wrong:
        for _ in range(5):
            token = mint.token(claims=mint.claims(aud=aud))
            yield "neither string nor list", token, "claims_malformed"
    for aud in ("api://backend", "https://b.example/", "Z\u00fcrich", ["x", "api://backend"]):
        for _ in range(5):
            token = mint.token(claims=mint.claims(aud=aud))
            yield "of the issuer's own list@audiences", token, "allow"
    for aud in (RESOURCE, "API://backend", "Zu\u0308rich", "api://backend/x"):
        for _ in range(5):
            token = mint.token(claims=mint.claims(aud=aud))
            yield "not in the issuer's own list@audiences", token, refused
    for aud in ("https://b.example", "api://backend/"):
        for _ in range(5):
            token = mint.token(claims=mint.claims(aud=aud))
            yield "a bare origin with the other slash@audiences", token, "allow"
    for _ in range(5):
        exact = mint.claims(aud="https://mcp.example.com")
        yield "a bare origin@bare", mint.token(claims=exact), "allow"
        slash = mint.claims(aud="https://mcp.example.com/")
        yield "a bare origin with the other slash@bare", mint.token(claims=slash), "allow"
        for aud in ("https://mcp.example.com//", "https://mcp.example.com/any"):
            token = mint.token(claims=mint.claims(aud=aud))
            yield "below a bare origin@bare", token, refused


@_kind
def claim(mint: Mint) -> Some:
    malformed = "claims_malformed"
    for name in ("sub", "jti", "client_id"):
        for value in (1, True, ["a"], {}):
            for _ in range(4):
                token = mint.token(claims=mint.claims(**{name: value}))
                yield f"{name} is not a string", token, malformed
        for _ in range(4):
            yield f"no {name}", mint.token(claims=mint.claims(**{name: ABSENT})), "allow"
            yield f"{name} is null", mint.token(claims=mint.claims(**{name: None})), "allow"
    for name in ("scope", "scp"):
        for value in (1, True, {}, [1], ["a", None], [["a"]]):
            for _ in range(4):
                token = mint.token(claims=mint.claims(**{name: value}))
                yield f"{name} is neither string nor list", token, malformed
        for value in ("a b", ["a", "b"], [], "", None):
            for _ in range(4):
                token = mint.token(claims=mint.claims(**{name: value}))
                yield f"{name} in every form", token, "allow"
    thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    for member in ("jkt", "x5t#S256"):
        for alg in REPEATABLE:
            for _ in range(4):
                token = mint.token(alg, claims=mint.claims(cnf={member: thumbprint}))
                yield "bound to a key of the sender's", token, "sender_constrained"
    for value in ({}, {"kid": "a"}, {"jwk": {}}, {"jku": "https://x.example", "kid": "a"}, {"x": 1}):
        for _ in range(4):
            token = mint.token(claims=mint.claims(cnf=value))
            yield "bound in another way", token, "sender_constrained"
    for value in ("jkt", 1, True, [], [{"jkt": thumbprint}]):
        for _ in range(4):
            yield "cnf is no object", mint.token(claims=mint.claims(cnf=value)), malformed
    for _ in range(4):
        yield "cnf is null", mint.token(claims=mint.claims(cnf=None)), "allow"
    for name, value in (
        ("token_use", "id"),
        ("token_use", "refresh_token"),
        ("typ", "ID"),
        ("typ", "Refresh"),
        ("typ", "Offline"),
        ("typ", "Logout"),
        ("typ", ["Bearer", "Refresh"]),
        ("tokenType", "refresh-token"),
        ("token_type", "refresh"),
        ("type", "refresh"),
    ):
        for _ in range(4):
            token = mint.token(claims=mint.claims(**{name: value}))
            yield "says that it is no access token", token, "not_an_access_token"
    for name, value in (
        ("token_use", "access"),
        ("typ", "Bearer"),
        ("tokenType", "access-token"),
        ("typ", "bearerid"),
        ("typ", None),
        ("type", "user"),
    ):
        for _ in range(4):
            token = mint.token(claims=mint.claims(**{name: value}))
            yield "says that it is an access token, or nothing known", token, "allow"
    for value in (None, 1, -1.5, 10**30, "\u0000", "\ud83d\ude00", [], [[]], {"": {"a": []}}):
        for _ in range(4):
            yield "of one's own", mint.token(claims=mint.claims(own=value)), "allow"


@_kind
def duplicate(mint: Mint) -> Some:
    for alg in REPEATABLE:
        for name, first in (
            ("iss", '"https://evil.example"'),
            ("aud", '"https://evil.example"'),
            ("exp", "1"),
            ("sub", '"root"'),
            ("scope", '"admin"'),
            ("nbf", "1"),
            ("own", "1"),
        ):
            claims = json.dumps(mint.claims(**({name: NOW} if name in ("nbf", "own") else {})))
            for spelling in (name, f"\\u{ord(name[0]):04x}{name[1:]}"):
                before = f'{{"{spelling}":{first},{claims[1:]}'
                behind = f'{claims[:-1]},"{spelling}":{first}}}'
                yield "claim, good one last", mint.token(alg, claims=before), "token_malformed"
                yield "claim, good one first", mint.token(alg, claims=behind), "token_malformed"
        for name, first in (("alg", '"none"'), ("kid", '"x"'), ("typ", '"x"'), ("x", "1")):
            header = json.dumps(mint.header(alg, **({"x": 2} if name == "x" else {})))
            before = f'{{"{name}":{first},{header[1:]}'
            behind = f'{header[:-1]},"{name}":{first}}}'
            yield "header, good one last", mint.token(alg, header=before), "token_malformed"
            yield "header, good one first", mint.token(alg, header=behind), "token_malformed"
        for deep in ('{"a":1,"a":1}', '[{"a":{"b":1,"b":2}}]'):
            claims = json.dumps(mint.claims(own="@")).replace('"@"', deep)
            yield "deep in a claim", mint.token(alg, claims=claims), "token_malformed"


@_kind
def text(mint: Mint) -> Some:
    malformed = "token_malformed"
    for alg in REPEATABLE:
        for part in ("header", "claims"):

            def token(
                change: Callable[[str], str | bytes], alg: str = alg, part: str = part
            ) -> str:
                good = mint.header(alg, own="@") if part == "header" else mint.claims(own="@")
                return mint.token(alg, **{part: change(json.dumps(good))})  # type: ignore[arg-type]

            yield "byte order mark", token(lambda text: "\ufeff" + text), malformed
            for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"):
                yield "not UTF-8", token(lambda text, e=encoding: text.encode(e)), malformed
            for own in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe9", b"\xf5\x80\x80\x80"):
                yield (
                    "no Unicode at all",
                    token(lambda text, own=own: text.encode().replace(b"@", own)),
                    malformed,
                )
            for own in ("NaN", "Infinity", "-Infinity"):
                yield (
                    "a constant of JavaScript",
                    token(lambda text, own=own: text.replace('"@"', own)),
                    malformed,
                )
            for own in (r"\ud800", r"\udc00\ud800", r"\ud800x"):
                yield (
                    "half of a surrogate pair",
                    token(lambda text, own=own: text.replace("@", own)),
                    malformed,
                )
            for own in ("1e400", "-1e999"):
                yield (
                    "a number beyond every number",
                    token(lambda text, own=own: text.replace('"@"', own)),
                    malformed,
                )
            for own in ("undefined", "'a'", "0x1", "01", "1.", "+1", '"\t"', r'"\x41"', "tru"):
                yield (
                    "no JSON value",
                    token(lambda text, own=own: text.replace('"@"', own)),
                    malformed,
                )
            for change in (
                lambda text: text[:-1],
                lambda text: text + "}",
                lambda text: text + text,
                lambda text: text[:-1] + ",}",
                lambda text: "/**/" + text,
                lambda text: text + "\0",
                lambda text: f"[{text}]",
                lambda text: json.dumps(text),
                lambda text: "null",
                lambda text: "1",
                lambda text: "",
                lambda text: "text",
            ):
                yield "no JSON object", token(change), malformed
            for levels, expected in ((30, "allow"), (32, malformed), (64, malformed)):
                nested = "[" * levels + "]" * levels
                yield (
                    f"{levels} levels deep",
                    token(lambda text, nested=nested: text.replace('"@"', nested)),
                    expected,
                )


@_kind
def encoding(mint: Mint) -> Some:
    malformed = "token_malformed"
    for alg in REPEATABLE:
        for at in range(3):
            for _ in range(5):
                parts = mint.token(alg).split(".")

                def changed(part: str, parts: list[str] = parts, at: int = at) -> str:
                    return ".".join([*parts[:at], part, *parts[at + 1 :]])

                part = parts[at]
                if missing := -len(part) % 4:
                    yield "padding", changed(part + "=" * missing), malformed
                yield "padding of the wrong length", changed(part + "==="), malformed
                yield "the other alphabet", changed(part[:5] + "+" + part[6:]), malformed
                yield "the other alphabet", changed(part[:5] + "/" + part[6:]), malformed
                yield "one character more", changed(_of_length(part, 1)), malformed
                for inside in (" ", "\n", "\r\n", "%", "\u00e9", "\u212a", "\0", '"', ","):
                    # A comma makes it more than one credential.
                    expected = "multiple_credentials" if inside == "," else malformed
                    yield "a foreign character", changed(part[:7] + inside + part[7:]), expected
                if missing:
                    for bit in range(1, 4 if missing == 1 else 16):
                        last = _ALPHABET[_ALPHABET.index(part[-1]) ^ bit]
                        yield "bits behind the last byte", changed(part[:-1] + last), malformed


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _of_length(part: str, rest: int) -> str:
    return part + "A" * ((rest - len(part)) % 4)


@_kind
def structure(mint: Mint) -> Some:
    malformed = "token_malformed"
    for alg in REPEATABLE:
        for _ in range(5):
            token = mint.token(alg)
            header, payload, signature = token.split(".")
            for odd in (
                "",
                ".",
                "..",
                "....",
                header,
                f"{header}.{payload}",
                f"{header}..{signature}",
                f".{payload}.{signature}",
                f".{token}",
                f"{token}.",
                f"{token}.{signature}",
                f"{token}.{signature}.{signature}",
                f"{payload}.{header}.{signature}",
                f"{header}.{payload}.{token}",
                json.dumps({"protected": header, "payload": payload, "signature": signature}),
                encode(token.encode()),
                f"Bearer {token}",
                f'"{token}"',
            ):
                # The JSON serialisation has commas, which make it more than one credential.
                expected = "multiple_credentials" if "," in odd else malformed
                yield "not three parts", odd, expected
            yield (
                "the header in place of the claims",
                f"{header}.{header}.{signature}",
                ("claims_malformed"),
            )
            for around in (f" {token}", f"{token} ", f"{token}\t", f" {token} "):
                yield "white space around", around, "allow"


@_kind
def size(mint: Mint) -> Some:
    for alg in REPEATABLE:
        for length, expected in (
            (12_000, "allow"),
            (16_384, "allow"),
            (16_387, "token_too_large"),
            (20_000, "token_too_large"),
            (100_000, "token_too_large"),
        ):
            yield f"{length} bytes", _padded(mint, alg, length), expected
        for _ in range(5):
            long = mint.token(alg, claims=mint.claims(own="x" * 600))
            yield "above the configured size@short", long, "token_too_large"


def _padded(mint: Mint, alg: str, length: int) -> str:
    claims = mint.claims(own="")
    while len(token := mint.token(alg, claims=claims)) < length - 1:
        claims["own"] += "x" * max((length - len(token)) * 3 // 4 - 2, 1)
    return token


@_kind
def mutation(mint: Mint) -> Some:
    """Whatever comes of a few random changes, with and without a new signature."""
    rng = mint.rng
    bases = {
        alg: [mint.token(alg) for _ in range(3)]
        + [mint.token(alg, header=mint.header(alg, typ=ABSENT, kid=ABSENT))]
        for alg in REPEATABLE
    }
    for alg, tokens in bases.items():
        for _ in range(450):
            token = rng.choice(tokens)
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                token = _mutate(rng, token, _ALPHABET + "..==+/ ")
            yield "of the text", token, None
        for _ in range(150):
            parts = rng.choice(tokens).split(".")
            at = rng.randrange(3)
            parts[at] = encode(_flip(rng, keys.decode(parts[at])))
            yield "of one bit of a part", ".".join(parts), None
        for _ in range(700):
            header, claims = json.dumps(mint.header(alg)), json.dumps(mint.claims())
            changes = '0123456789{}[]",:.eE+- \\utrnfalsAZ/@\u00e9\u0000'
            if rng.randrange(3):
                claims = _mutate(rng, claims, changes)
            else:
                header = _mutate(rng, header, changes)
            yield "of the JSON, signed again", mint.token(alg, header=header, claims=claims), None


def _mutate(rng: random.Random, text: str, alphabet: str) -> str:
    at = rng.randrange(len(text))
    match rng.randrange(5):
        case 0:
            return text[:at] + text[at + 1 :]
        case 1:
            return text[:at] + rng.choice(alphabet) + text[at:]
        case 2:
            other = rng.randrange(len(text))
            low, high = sorted((at, other))
            return text[:low] + text[high] + text[low + 1 : high] + text[low] + text[high + 1 :]
        case 3:
            end = min(len(text), at + rng.randrange(1, 12))
            return text[:end] + text[at:end] + text[end:]
        case _:
            return text[:at] + rng.choice(alphabet) + text[at + 1 :]
