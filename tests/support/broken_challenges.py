"""What a client can do without in a challenge, and what it cannot: each change is made to what the
filter says, and `OUTCOMES` is what the official SDKs did with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from .challenges import parse_challenge


def without(name: str) -> Callable[[str], list[str]]:
    def edit(challenge: str) -> list[str]:
        scheme, parameters = parse_challenge(challenge)
        kept = [f'{one}="{value}"' for one, value in parameters.items() if one != name]
        assert len(kept) < len(parameters), f"{name} is not in the challenge"
        return [f"{scheme} {', '.join(kept)}"]

    return edit


def with_metadata_at(pattern: str, replacement: str) -> Callable[[str], list[str]]:
    def edit(challenge: str) -> list[str]:
        edited = re.sub(pattern, replacement, challenge)
        assert edited != challenge
        return [edited]

    return edit


CHANGES: dict[str, Callable[[str], list[str]]] = {
    "no challenge": lambda challenge: [],
    "no error": without("error"),
    "no resource_metadata": without("resource_metadata"),
    "no scope": without("scope"),
    "relative resource_metadata": with_metadata_at("http://[^/]*", ""),
    "wrong resource_metadata": with_metadata_at(".well-known/oauth-protected-resource", "nowhere"),
    "another scheme first": lambda challenge: [f'Basic realm="x", {challenge}'],
    "another scheme on a line before": lambda challenge: ['Basic realm="x"', challenge],
}

READ, ALL = "asks for the challenge's scope", "asks for all scopes of the metadata"
WORKS, FAILS = "works", "fails"

# In the order of SDKS: Python, TypeScript, TypeScript of version 1, Rust.
OUTCOMES = {
    ("login", "no challenge"): (ALL, ALL, ALL, FAILS),
    ("login", "no resource_metadata"): (READ, READ, READ, READ),
    ("login", "no scope"): (ALL, ALL, ALL, ALL),
    ("login", "relative resource_metadata"): (FAILS, READ, READ, READ),
    ("login", "wrong resource_metadata"): (READ, FAILS, FAILS, READ),
    ("login", "another scheme first"): (READ, ALL, ALL, READ),
    ("login", "another scheme on a line before"): (READ, ALL, ALL, ALL),
    ("step-up", "no challenge"): (FAILS, FAILS, FAILS, FAILS),
    ("step-up", "no error"): (FAILS, FAILS, FAILS, WORKS),
    ("step-up", "no resource_metadata"): (WORKS, WORKS, WORKS, WORKS),
    ("step-up", "no scope"): (FAILS, FAILS, FAILS, FAILS),
    ("step-up", "another scheme first"): (WORKS, FAILS, FAILS, WORKS),
    ("step-up", "another scheme on a line before"): (WORKS, FAILS, FAILS, FAILS),
    ("expiry", "no error"): (WORKS, WORKS, WORKS, WORKS),
}
