"""A strict reader of one WWW-Authenticate challenge (RFC 9110 section 11.6.1).

Stricter than the grammar on purpose: every value quoted, nothing escaped, no name twice. That is
what all known MCP clients can read.
"""

from __future__ import annotations

import re

_PARAMETER = r'([a-z_]+)="([\x20\x21\x23-\x5b\x5d-\x7e]*)"'
_CHALLENGE = re.compile(rf"([A-Za-z]+) ({_PARAMETER}(?:, {_PARAMETER})*)")


def parse_challenge(line: str) -> tuple[str, dict[str, str]]:
    """Scheme and parameters; AssertionError if a client could stumble over the line."""
    match = _CHALLENGE.fullmatch(line)
    assert match is not None, f"no plain challenge: {line!r}"
    pairs = re.findall(_PARAMETER, match[2])
    parameters = dict(pairs)
    assert len(parameters) == len(pairs), f"a parameter comes twice: {line!r}"
    return match[1], parameters
