"""Faults of form: members twice, text, encoding, parts, sizes, and mutations of anything."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from . import keys
from .keys import encode
from .mint import ABSENT, ALPHABET, NOW, REPEATABLE, Kinds, Mint, Some, flipped

kinds = Kinds()


@kinds
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


@kinds
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


@kinds
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
                        last = ALPHABET[ALPHABET.index(part[-1]) ^ bit]
                        yield "bits behind the last byte", changed(part[:-1] + last), malformed


def _of_length(part: str, rest: int) -> str:
    return part + "A" * ((rest - len(part)) % 4)


@kinds
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


@kinds
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


@kinds
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
                token = _mutate(rng, token, ALPHABET + "..==+/ ")
            yield "of the text", token, None
        for _ in range(150):
            parts = rng.choice(tokens).split(".")
            at = rng.randrange(3)
            parts[at] = encode(flipped(rng, keys.decode(parts[at])))
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
