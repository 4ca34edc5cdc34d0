"""Spellings of /mcp: what servers undo, mixed at random for each character of a path.

Nothing here says what some server takes: a test sends all of it, and looks which handler answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

SEED = 20261125

# Before the name: what resolves, merges, or is dropped.
_PREFIXES = [
    "", "", "/", "//", "/.", "/./.", "/..", "/x/..", "/a/b/../..", "/a//..", "/...", "/;x", "/;a=b/;c",
    "/x/..;", "/x/..;y", "/.;x", "/%2e", "/x/%2e%2e", "/x/%2E.", "/x/.%2e", "/%2e%2e", "/x%2f..",
    "/x%2f%2e%2e", "/a%2fb/../..", "/x\\..", "/\\", "/x%5c..", "/x%5c%2e%2e", "//h", "///h", "//h:80",
    "/\\h", "/\\/h", "/index.php", "/%69ndex.php", "/x/../index.php", "http://h", "/x/%252e%252e",
    "/x%252f..", "/a%ef%bc%8fb%2f..%2f", "/a%c0%afb%2f..", "/a%e2%88%95b%2f..", "/a%u002fb%2f..",
    "/x/%u002e%u002e", "/x/%c0%ae%c0%ae", "/x/%ef%bc%8e%ef%bc%8e", "/%zz/..", "/x%00/..", "/%ff", "/%20",
    "/x/%2e%2e%2f", "/x/.%09.", "/x%3b/..", "/caf%c3%a9/..", "/x?/..", "/x#/..", "/x%3f/..", "/x%23/..",
]  # fmt: skip
# In place of the slash before the name.
_SLASHES = [
    "/", "/", "/", "/", "//", "%2f", "%2F", "/%2f", "%2f/", "\\", "%5c", "/./", "/%2e/", "/;x/", "/.;/",
    "%252f", "%u002f", "%ef%bc%8f", "%e2%88%95", "%e2%81%84", "%c0%af", "/.../", "%0d%0a/", "/%00/", "/ff%2f../",
]  # fmt: skip
# After the name.
_SUFFIXES = [
    "", "", "", "", "/", "//", "/.", "/sub", "%2fsub", "/x/..", "/%2e%2e/mcp", ";", ";x", ";x=y/sub", ";%2f",
    "%3b", "%3bx", "%00", "%00x", "%00.html", "%20", "%09", "%0a", "%0d%0a", ".", "..", "%2e", ".json", ".html",
    "#", "#x", "#/../x", "%23", "%23x", "?", "?x", "?x=/../y", "%3f", "%3fx", "%", "%2", "%zz", "%ff", "%80",
    "\\", "%5c", "%5c..", "/..;/mcp", "/%252e", "%e2%80%8b", "%ef%bb%bf", "%c2%a0", "+", "~", "&x", ",x", "@x",
]  # fmt: skip
# What some server drops, inside a name.
_NOTHING = [
    "%00", "%ff", "%80", "%c0%80", "%e2%80%8b", "%ef%bb%bf", "%c2%ad", "\x80", "\xff", "%09", "%0a", "%cc%81",
]  # fmt: skip


def _full_width(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in chr(ord(character) + 0xFEE0).encode())


_CHARACTER: list[Callable[[str], str]] = [
    str,
    str.upper,
    lambda one: f"%{ord(one):02x}",
    lambda one: f"%{ord(one.upper()):02X}",
    lambda one: f"%25{ord(one):02x}",
    lambda one: f"%u{ord(one):04x}",
    lambda one: f"%{0xC0 | ord(one) >> 6:02x}%{0x80 | ord(one) & 0x3F:02x}",
    _full_width,
    lambda one: "".join(f"%{ord(digit):02x}" for digit in f"%{ord(one):02x}"),
]


def _name(chosen: random.Random, odd: float) -> str:
    share = chosen.choice([0.2, 0.6]) if chosen.random() < odd else 0.0
    made = ""
    for character in "mcp":
        made += chosen.choice(_CHARACTER)(character) if chosen.random() < share else character
        if chosen.random() < share / 6:
            made += chosen.choice(_NOTHING)
    return made


def spellings(count: int, seed: int = SEED) -> list[bytes]:
    """So many different ones, always the same for one seed."""
    chosen = random.Random(seed)
    found: dict[bytes, None] = {}
    while len(found) < count:
        # One or two parts are odd in most of them, all in some: few servers undo several things.
        odd = chosen.choice([0.15, 0.4, 0.4, 0.9])

        def part(options: list[str], plain: str, odd: float = odd) -> str:
            return chosen.choice(options) if chosen.random() < odd else plain

        prefix = part(_PREFIXES, "") + part(_PREFIXES, "", odd / 4)
        target = prefix + part(_SLASHES, "/") + _name(chosen, odd)
        target += part(_SUFFIXES, "") + part(_SUFFIXES, "", odd / 4)
        # A request line ends at a space.
        if target.startswith(("/", "http")):
            found[target.encode("latin-1")] = None
    return list(found)
