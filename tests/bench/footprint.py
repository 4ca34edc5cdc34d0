"""Memory at rest, memory for each cached token, and the time that a start takes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from pathlib import Path

from support import http1
from support.bootstrap import Json
from support.envoy import Envoy

from . import load, machine
from .contenders import Contender
from .load import Traffic
from .scenarios import ROTATED, Tokens

WORKERS = (1, 2, 4)

_AT_REST = ("none", "native-cached", "ours")
_CACHES = ("native-cached", "ours")
# For modules that verify slowly: what was sent by then is counted.
_FILLING_SECONDS = 5

_numbers = itertools.count(1)


def starts(contenders: Mapping[str, Contender], directory: Path, rounds: int) -> list[Json]:
    """Time to the first answer, and memory then, for one worker and for more."""
    found: list[Json] = []
    for number, workers, name in itertools.product(range(rounds), WORKERS, _AT_REST):
        began = time.monotonic()
        with _envoy(contenders[name], directory, workers) as envoy:
            http1.get(envoy.port, "/health")
            seconds = time.monotonic() - began
            # Each worker once, so that none has its first request still to come.
            load.run(envoy.directory, envoy.port, Traffic("/health"), seconds=1, threads=1)
            found.append(
                {
                    "round": number,
                    "contender": name,
                    "workers": workers,
                    "seconds": seconds,
                    "resident_bytes": machine.resident_bytes(envoy.pid),
                }
            )
    return found


def caches(
    contenders: Mapping[str, Contender], directory: Path, tokens: Tokens, rounds: int
) -> list[Json]:
    """How memory grows with tokens that were never seen before, on one worker."""
    found: list[Json] = []
    for number, name in itertools.product(range(rounds), _CACHES):
        with _envoy(contenders[name], directory, 1) as envoy:

            def send(file: Path, seconds: int, laps: int, envoy: Envoy = envoy) -> tuple[int, int]:
                outcome = load.run(
                    envoy.directory, envoy.port, Traffic("/mcp", file), seconds=seconds, laps=laps
                )
                return outcome.requests, machine.resident_bytes(envoy.pid)

            _, before = send(tokens.one(), 1, 0)
            sent, after = send(tokens.rotated(), _FILLING_SECONDS, 1)
        count = min(sent, ROTATED)
        found.append(
            {
                "round": number,
                "contender": name,
                "tokens": count,
                "bytes_per_token": (after - before) / count,
            }
        )
    return found


def _envoy(contender: Contender, directory: Path, workers: int) -> Envoy:
    return Envoy(
        directory / f"start-{next(_numbers)}",
        {"mcp": contender.listener()},
        {},
        concurrency=workers,
    )
