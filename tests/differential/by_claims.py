"""Faults of single claims."""

from __future__ import annotations

import json

from .mint import (
    ABSENT,
    AUTH,
    LAST_SECOND,
    NOW,
    OTHER,
    REPEATABLE,
    RESOURCE,
    Kinds,
    Mint,
    Some,
)

kinds = Kinds()


@kinds
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


@kinds
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


@kinds
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


@kinds
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


@kinds
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


@kinds
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
    for value in (
        {},
        {"kid": "a"},
        {"jwk": {}},
        {"jku": "https://x.example", "kid": "a"},
        {"x": 1},
    ):
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
