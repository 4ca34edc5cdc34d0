"""Why the filter and PyJWT disagree on a token.

Each explanation is a test of the token alone, with Python's own readers: it must not lean on what
either side says of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from . import keys
from .mint import LAST_SECOND, NOW, SETTINGS, Case

Json = dict[str, Any]


@dataclass
class Part:
    """Header or claims, read leniently: what is odd about the JSON, and what it says."""

    text: str
    bytes_: bytes = b""
    duplicate: bool = False
    constant: bool = False
    infinite: bool = False
    value: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self.bytes_ = keys.decode(self.text)
            self.value = json.loads(
                self.bytes_,
                object_pairs_hook=self._pairs,
                parse_constant=self._constant,
                parse_float=self._float,
            )
        except (ValueError, RecursionError):
            self.value = None
        self.members: Json = self.value if isinstance(self.value, dict) else {}

    def _pairs(self, pairs: list[tuple[str, Any]]) -> Json:
        members = dict(pairs)
        self.duplicate |= len(members) < len(pairs)
        return members

    def _constant(self, name: str) -> float:
        self.constant = True
        return float(name)

    def _float(self, digits: str) -> float:
        number = float(digits)
        self.infinite |= number in (float("inf"), float("-inf"))
        return number

    @property
    def is_utf8(self) -> bool:
        try:
            return not self.bytes_.decode("utf-8").startswith("\ufeff") and 0 not in self.bytes_
        except UnicodeDecodeError:
            return False

    @property
    def has_half_pair(self) -> bool:
        return _any(self.value, lambda leaf: isinstance(leaf, str) and not _encodable(leaf))

    @property
    def depth(self) -> int:
        return _depth(self.value)


def _any(value: Any, test: Callable[[Any], bool]) -> bool:
    match value:
        case dict():
            return any(test(name) or _any(member, test) for name, member in value.items())
        case list():
            return any(_any(element, test) for element in value)
        case _:
            return test(value)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(_depth, value.values()), default=0)
        case list():
            return 1 + max(map(_depth, value), default=0)
        case _:
            return 0


class Token:
    def __init__(self, case: Case) -> None:
        self.text = case.token
        self.config = SETTINGS[case.setting][0]
        self.parts = [*case.token.strip().split("."), "", "", ""][:3]

    @cached_property
    def header(self) -> Part:
        return Part(self.parts[0])

    @cached_property
    def claims(self) -> Part:
        return Part(self.parts[1])

    @property
    def json(self) -> tuple[Part, Part]:
        return self.header, self.claims

    @property
    def issuer(self) -> Json:
        found = self.claims.members.get("iss")
        return next(known for known in self.config["issuers"] if known["issuer"] == found)

    def dates(self) -> list[Any]:
        claims = self.claims.members
        return [claims[name] for name in ("exp", "nbf", "iat") if name in claims]

    def key(self) -> Json:
        kid = self.header.members.get("kid")
        return next((key for key in self.issuer["jwks"]["keys"] if key.get("kid") == kid), {})


@dataclass(frozen=True)
class Explanation:
    name: str
    verdict: str
    """What the filter says: `allow` where it is the more lenient one."""
    text: str
    holds: Callable[[Token], bool]


def of(case: Case, verdict: str) -> list[str]:
    """The explanations of a disagreement in which the filter says `verdict`."""
    token = Token(case)
    return [each.name for each in ALL if each.verdict == verdict and each.holds(token)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nbf_has_fraction(token: Token) -> bool:
    nbf = token.claims.members.get("nbf")
    skew = token.issuer.get("clock_skew_seconds", 60)
    return isinstance(nbf, float) and NOW + skew < nbf < NOW + skew + 1


def _lives_too_long(token: Token) -> bool:
    longest = token.issuer.get("max_token_lifetime_seconds")
    claims = token.claims.members
    return longest is not None and ("iat" not in claims or claims["exp"] - claims["iat"] > longest)


def _is_another_type(token: Token) -> bool:
    typ = token.header.members.get("typ")
    if typ is None:
        return "at+jwt" in token.issuer.get("token_types", [])
    accepted = token.issuer.get("token_types", ["at+jwt", "JWT"])
    names = {name.lower() for each in accepted for name in (each, f"application/{each}")}
    return isinstance(typ, str) and typ.lower() not in names


def _is_not_text(value: Any) -> bool:
    return not isinstance(value, str)


def _has_odd_claim(token: Token) -> bool:
    claims = token.claims.members

    def no_scope(value: Any) -> bool:
        return value is not None and _is_not_text(value) and not (
            isinstance(value, list) and not any(map(_is_not_text, value))
        )

    client = claims.get("client_id")
    return (client is not None and _is_not_text(client)) or any(
        no_scope(claims.get(name, "")) for name in ("scope", "scp")
    )


def _is_other_slash(token: Token) -> bool:
    aud = token.claims.members["aud"]
    found = [aud] if isinstance(aud, str) else aud
    accepted = token.issuer.get("audiences", [token.config["resources"][0]["resource"]])

    def bare(url: str) -> bool:
        return "://" in url and "/" not in url.partition("://")[2].removesuffix("/")

    return any(
        bare(one) and bare(other) and one.rstrip("/") == other.rstrip("/") and one != other
        for one in found
        for other in accepted
    )


ALL = [
    Explanation(
        "padding",
        "token_malformed",
        "Base64url with `=` behind it, which RFC 7515 §2 has not. PyJWT takes it since 2.11, for "
        "an issuer that sends it.",
        lambda token: any(part.endswith("=") for part in token.parts),
    ),
    Explanation(
        "duplicate",
        "token_malformed",
        "A member comes twice in an object. RFC 7519 §4 lets a reader refuse that or take the last, "
        "as Python does; two readers of one token must not see different claims.",
        lambda token: any(part.duplicate for part in token.json),
    ),
    Explanation(
        "not-utf8",
        "token_malformed",
        "JSON in UTF-16 or UTF-32, or behind a byte order mark: Python's reader finds out by "
        "itself, RFC 8259 §8.1 and RFC 7515 §2 want UTF-8 alone.",
        lambda token: any(not part.is_utf8 for part in token.json),
    ),
    Explanation(
        "constant",
        "token_malformed",
        "`NaN` and `Infinity`, which Python reads, are no JSON (RFC 8259 §6).",
        lambda token: any(part.constant for part in token.json),
    ),
    Explanation(
        "infinite",
        "token_malformed",
        "A number beyond every double, such as `1e400`, which Python reads as infinite.",
        lambda token: any(part.infinite for part in token.json),
    ),
    Explanation(
        "half-pair",
        "token_malformed",
        "An escaped half of a surrogate pair: it is no character, and no UTF-8 can hold it.",
        lambda token: any(part.has_half_pair for part in token.json),
    ),
    Explanation(
        "deep",
        "token_malformed",
        "More than 32 levels of arrays and objects; PyJWT has no limit but Python's stack.",
        lambda token: any(part.depth > 32 for part in token.json),
    ),
    Explanation(
        "typ-not-text",
        "token_malformed",
        "A `typ` that is not a string (RFC 7515 §4.1.9): PyJWT does not look at it.",
        lambda token: _is_not_text(token.header.members.get("typ", "")),
    ),
    Explanation(
        "size",
        "token_too_large",
        "Longer than `limits.token_bytes`; PyJWT has no limit.",
        lambda token: (
            len(token.text) > token.config.get("limits", {}).get("token_bytes", 16_384)
        ),
    ),
    Explanation(
        "crit-b64",
        "critical_header",
        "`crit` names `b64`, and `b64` is `true`: PyJWT understands this extension "
        "(RFC 7797), the filter understands none.",
        lambda token: (
            token.header.members.get("crit") == ["b64"] and token.header.members.get("b64") is True
        ),
    ),
    Explanation(
        "typ",
        "token_type_not_allowed",
        "A `typ` that `token_types` does not have, such as that of an ID token (RFC 8725 §3.11, "
        "RFC 9068 §4): PyJWT does not look at it.",
        _is_another_type,
    ),
    Explanation(
        "date-not-number",
        "claims_malformed",
        "A date as a string or a boolean: PyJWT makes an integer of whatever Python can, and "
        "RFC 7519 §2 wants a number.",
        lambda token: any(not _is_number(date) for date in token.dates()),
    ),
    Explanation(
        "date-negative",
        "claims_malformed",
        "A date before 1970, which no issuer means.",
        lambda token: any(_is_number(date) and date < 0 for date in token.dates()),
    ),
    Explanation(
        "date-late",
        "claims_malformed",
        "A date behind the year 9999, most likely milliseconds for seconds: such a token would "
        "never expire.",
        lambda token: any(_is_number(date) and date > LAST_SECOND for date in token.dates()),
    ),
    Explanation(
        "claim-type",
        "claims_malformed",
        "`client_id` that is no string, or `scope` or `scp` that is neither string nor list "
        "(RFC 8693 §4.2, §4.3): PyJWT does not know these claims.",
        _has_odd_claim,
    ),
    Explanation(
        "nbf-fraction",
        "not_yet_valid",
        "`nbf` is a fraction of a second behind the bound: PyJWT cuts the fraction off, the filter "
        "rounds it up, so that no fraction lengthens the life of a token.",
        _nbf_has_fraction,
    ),
    Explanation(
        "lifetime",
        "lifetime_too_long",
        "`exp` is more than `max_token_lifetime_seconds` behind `iat`, or there is no `iat`: PyJWT "
        "has no such rule.",
        _lives_too_long,
    ),
    Explanation(
        "sender-constrained",
        "sender_constrained",
        "`cnf` binds the token to a key of the sender's (RFC 7800), for DPoP (RFC 9449 §6), mutual "
        "TLS (RFC 8705 §3.1) or another way: as a plain Bearer token it must be refused. PyJWT does "
        "not look at it.",
        lambda token: isinstance(token.claims.members.get("cnf"), dict),
    ),
    Explanation(
        "cnf-no-object",
        "claims_malformed",
        "A `cnf` that is no object (RFC 7800 §3.1): PyJWT does not look at it.",
        lambda token: not isinstance(token.claims.members.get("cnf"), dict | None),
    ),
    Explanation(
        "purpose",
        "not_an_access_token",
        "A claim says that this is an ID, refresh or logout token: PyJWT does not look at it.",
        lambda token: any(
            word in str(token.claims.members.get(name)).lower()
            for name in ("token_use", "typ", "tokenType", "token_type", "type")
            for word in ("id", "refresh", "offline", "logout")
        ),
    ),
    Explanation(
        "null",
        "allow",
        "An optional claim that is `null` is absent for the filter: issuers write it so. PyJWT wants "
        "a string or a number.",
        lambda token: any(
            name in token.claims.members and token.claims.members[name] is None
            for name in ("sub", "jti", "nbf", "iat")
        ),
    ),
    Explanation(
        "key-operations",
        "key_unknown",
        "The JWK's `key_ops` are without `verify` (RFC 7517 §4.3): PyJWT does not look at them.",
        lambda token: "verify" not in token.key().get("key_ops", ["verify"]),
    ),
    Explanation(
        "key-private",
        "key_unknown",
        "The JWK has its private part: whoever can read the set can sign. PyJWT takes it.",
        lambda token: "d" in token.key(),
    ),
    Explanation(
        "key-padded",
        "key_unknown",
        "A number of the JWK has `=` behind it, which RFC 7518 §6 has not. PyJWT takes it.",
        lambda token: any(
            isinstance(value, str) and value.endswith("=") for value in token.key().values()
        ),
    ),
    Explanation(
        "key-small-order",
        "key_unknown",
        "The Ed25519 key is a point of small order, with which one signature fits every message. "
        "OpenSSL takes it, and so does PyJWT.",
        lambda token: token.key().get("x") == keys.encode(b"\x01" + bytes(31)),
    ),
    Explanation(
        "keys-tried",
        "too_many_keys",
        "A token without `kid` by the fifth key or a later one that fits: the filter tries four, "
        "and here PyJWT is given all.",
        lambda token: (
            "kid" not in token.header.members and len(token.issuer["jwks"]["keys"]) > 4
        ),
    ),
    Explanation(
        "ed25519-name",
        "allow",
        "`alg` is `Ed25519`, the name that RFC 9864 §2.2 gives to what was `EdDSA`. PyJWT does not "
        "know it yet.",
        lambda token: token.header.members.get("alg") == "Ed25519",
    ),
    Explanation(
        "b64-without-crit",
        "allow",
        "`b64` is `false`, but `crit` does not name it: who does not understand `b64` ignores it "
        "(RFC 7515 §4). The payload is base64url all the same, so nothing is misread. PyJWT "
        "understands it, and refuses (RFC 7797 §6).",
        lambda token: (
            token.header.members.get("b64") is False and "crit" not in token.header.members
        ),
    ),
    Explanation(
        "bare-origin",
        "allow",
        "`aud` is a bare origin with a slash behind it, and the accepted one is without, or the "
        "other way round: both name one resource (RFC 3986 §6.2.3), and URL libraries of clients "
        "add the slash. PyJWT compares bytes.",
        _is_other_slash,
    ),
    Explanation(
        "white-space",
        "allow",
        "White space around the token: the filter reads a header's value, where it does not count "
        "(RFC 9110 §5.5). PyJWT is handed the token alone.",
        lambda token: token.text != token.text.strip(" \t"),
    ),
]
