"""Good tokens, and faults of signature, key and header."""

from __future__ import annotations

import json
from collections.abc import Callable

from . import keys
from .keys import encode
from .mint import ABSENT, NOW, OTHER, Kinds, Mint, Some, as_bytes, flipped, merged, odd_keys
from .reference import ALGORITHMS

kinds = Kinds()


@kinds
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


@kinds
def signature(mint: Mint) -> Some:
    invalid = "signature_invalid"
    for alg in ALGORITHMS:

        def plain(message: bytes, alg: str = alg) -> bytes:
            return keys.sign(alg, message)

        def changed(change: Callable[[bytes], bytes], alg: str = alg) -> str:
            return mint.with_signature(alg, lambda message: change(keys.sign(alg, message)))

        for _ in range(30):
            yield "one bit", changed(lambda signature: flipped(mint.rng, signature)), invalid
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
            longer = encode(as_bytes(mint.header(alg, cty="JWT")))
            yield "header changed", f"{longer}.{payload}.{signed}", invalid


def _unreduced(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:], "little") + keys.ORDERS["EdDSA"]
    return signature[:32] + s.to_bytes(32, "little")


@kinds
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
            header = merged(header, {})
            yield "not a string", mint.token(header=header), "token_malformed"
    for _ in range(20):
        header = mint.header("Ed25519", kid=ABSENT)
        yield "Ed25519@without-alg", mint.token("EdDSA", header=header), "allow"
    header = mint.header("ES256") | {"ALG": "none"}
    yield "in capitals beside", mint.token(header=header), "allow"


@kinds
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
    for jwk in odd_keys()["keys"]:
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


@kinds
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


@kinds
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


@kinds
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
