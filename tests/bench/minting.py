"""Files of tokens, one a line, each another one."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jwt.algorithms
from support import tokens
from support.paths import CASES

ISSUER = "https://auth.example.com"
RESOURCE = "https://mcp.example.com/mcp"

KEYS = {"RS256": "rsa-1", "PS256": "ps-1", "ES256": "ec-1", "EdDSA": "ed-1"}
"""The name of the signing key for each algorithm."""

ALGORITHMS = tuple(KEYS)

_LIFETIME_SECONDS = 6 * 3600


def jwks() -> dict[str, Any]:
    return tokens.jwks(KEYS.values())


def good(directory: Path, algorithm: str, count: int) -> Path:
    """Tokens that are valid for longer than a run takes."""
    file = directory / f"good-{algorithm}-{count}.txt"
    now = int(time.time())
    processes = len(os.sched_getaffinity(0))
    share = -(-count // processes)
    with ProcessPoolExecutor(processes, initializer=_die_with_parent) as pool:
        parts = pool.map(
            _signed,
            [algorithm] * processes,
            [now + _LIFETIME_SECONDS] * processes,
            [range(first, min(first + share, count)) for first in range(0, count, share)],
        )
        file.write_text("".join(f"{token}\n" for part in parts for token in part))
    return file


def told() -> dict[str, Any]:
    """The claims that an issuer tells of an opaque token: those of a JWT."""
    return _claims(int(time.time()) + _LIFETIME_SECONDS, 0)


def opaque(directory: Path, genuine: Path) -> Path:
    """One token that says nothing of itself, as long as the genuine one."""
    file = directory / "opaque.txt"
    length = len(genuine.read_text().strip())
    file.write_text("opaque-".ljust(length, "x") + "\n")
    return file


def expired(directory: Path) -> Path:
    file = directory / "expired.txt"
    [token] = _signed("RS256", int(time.time()) - 3600, range(1))
    file.write_text(f"{token}\n")
    return file


def forged(directory: Path, genuine: Path) -> Path:
    """The genuine tokens, each with the signature of the one before it."""
    file = directory / "forged.txt"
    parts = [line.rpartition(".") for line in genuine.read_text().split()]
    signatures = [parts[-1][2], *(part[2] for part in parts[:-1])]
    file.write_text(
        "".join(
            f"{part[0]}.{signature}\n" for part, signature in zip(parts, signatures, strict=True)
        )
    )
    return file


def _signed(algorithm: str, expiry: int, numbers: range) -> list[str]:
    # The tests' own `mint` reads the key anew for each token, which takes longer than signing.
    private = json.loads((CASES / "keys.json").read_text())["keys"][KEYS[algorithm]]
    signer = jwt.algorithms.get_default_algorithms()[algorithm]
    key = signer.from_jwk(private)
    header = _encoded({"alg": algorithm, "typ": "at+jwt", "kid": private["kid"]})
    made = []
    for number in numbers:
        text = f"{header}.{_encoded(_claims(expiry, number))}"
        made.append(f"{text}.{tokens.encode(signer.sign(text.encode(), key))}")
    return made


def _claims(expiry: int, number: int) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "aud": RESOURCE,
        "sub": f"user-{number}",
        "client_id": "https://client.example.com/metadata.json",
        "scope": "mcp:read mcp:write",
        "iat": expiry - _LIFETIME_SECONDS,
        "exp": expiry,
        "jti": f"{expiry}-{number}",
    }


def _encoded(part: dict[str, Any]) -> str:
    return tokens.encode(json.dumps(part, separators=(",", ":")).encode())


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
