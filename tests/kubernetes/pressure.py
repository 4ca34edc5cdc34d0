"""What somebody does who wants a gateway to fail: to Envoys with two workers or more."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stage import HOST, Stage
from support import attacks, http1, processes, volley

Json = dict[str, Any]

WORKERS = max(2, os.cpu_count() or 2)
"""At most."""
COOLDOWN = 30
"""Seconds between two fetches for keys that nobody knows, by default."""
_OF_A_KIND, _SILENT = 60, 200

BODIES = 150
ROOM, LONGEST = 2**20, 2**19
"""Bytes of bodies that one worker holds, and of one body."""
_BATCH = 10
MOST_BYTES = 2 * (WORKERS * ROOM + _BATCH * attacks.ENDLESS) + BODIES * 2**16
"""What all of them may take: what is held and what is in a batch, both once more for what allocators round up, and
connections by TLS. Without a bound on what is held it is more than `BODIES * ENDLESS`."""
assert MOST_BYTES < BODIES * attacks.ENDLESS or WORKERS > 8


def storm(stage: Stage) -> tuple[Counter[int], float]:
    """The answers to requests with bad tokens, and how long they took."""
    requests = [
        http1.encode("GET", "/mcp", [("authorization", f"Bearer {token}")], host=HOST)
        for token in _bad_tokens(stage)
    ]
    began = time.monotonic()
    answers = volley.volley(stage.connect, requests, connections=16)
    attacks.connection_storm(443, _SILENT)
    return Counter(one.status for one in answers), time.monotonic() - began


def _bad_tokens(stage: Stage) -> Iterator[str]:
    good = stage.token()
    for number in range(_OF_A_KIND):
        yield stage.token(key="ec-1", header={"kid": f"invented-{number}"})
        yield stage.token(claims={"jti": str(number)}, damage="signature")
        yield stage.token(claims={"exp": {"$now": -600 - number}})
        yield stage.token(claims={"aud": f"https://{number}.example.com/mcp"})
        yield stage.token(sign="nothing", raw_header='{"alg":"none"}')
        yield good[: -1 - number]


def fetches_in(seconds: float) -> int:
    """As many as keys may be fetched at most: without a `vm_id` each worker and the main thread do, for unknown keys
    once in a cooldown, and when it is time to."""
    return (WORKERS + 1) * (int(seconds / COOLDOWN) + 2)


def reads_bodies(configuration: Json) -> None:
    rule = {"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]}
    configuration["resources"][0] |= {"name": "bodies", "operations": [rule]}
    configuration["limits"] = {"held_body_bytes": ROOM, "body_bytes": LONGEST, "body_seconds": 2}


def too_long_a_body(stage: Stage) -> int:
    """The status."""
    with stage.connect() as connection:
        with contextlib.suppress(OSError):  # answered before it was sent
            body = b" " * (LONGEST + 1)
            connection.sendall(http1.encode("POST", "/mcp", stage.bearer(), body, host=HOST))
        return http1.read_response(connection).status


def endless_bodies(stage: Stage, token: str, count: int) -> Counter[int]:
    def wait(sent: int) -> None:
        # What Envoy has read and not begun with is not bounded by the filter: so that is little.
        if sent % _BATCH == 0:
            stage.status("/mcp")

    return attacks.endless_bodies(stage.connect, token, count, host=HOST, sent=wait)


def resident_bytes() -> int:
    """Of all Envoys in this world: processes of others are not seen in it."""
    found = []
    for one in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # a process that ends
            if one.read_text().strip() == "envoy":
                found.append(processes.resident_bytes(int(one.parent.name)))
    assert found, "no Envoy runs"
    return sum(found)
