"""The configuration is replaced every second for a minute, under load."""

from __future__ import annotations

import time

from ..figures import Report
from ..load import Load
from ..world import Key, World, configuration, listener, resident_kib

SECONDS = 60


def run(world: World, report: Report) -> None:
    key = Key()
    server = world.key_server(key)
    made = configuration(server)
    envoy = world.envoy(listener(made), server, dynamic=True, drain_seconds=2)
    load = Load(envoy.port, key.token(server.issuer), rate=400)
    resident = []
    at = time.monotonic()
    for number in range(SECONDS):
        at += 1
        made["resources"][0]["name"] = f"update {number}"
        envoy.update({"mcp": listener(made)})
        resident.append(resident_kib(envoy.pid))
        time.sleep(max(0.0, at - time.monotonic()))
    result = load.stop()
    statuses = result.statuses
    bad = sum(count for status, count in statuses.items() if status != 200)
    report.check(
        "updates", "answers to good tokens", dict(statuses), "200 alone, none lost", bad == 0
    )
    report.check(
        "updates", f"fetches for {SECONDS} updates", server.fetches(), "1", server.fetches() == 1
    )
    growth = resident[-1] / resident[19]
    report.check(
        "updates",
        "memory after updates 1, 20, 40, 60",
        ", ".join(f"{resident[at] / 1024:.0f} MiB" for at in (0, 19, 39, 59)),
        "flat from update 20 on",
        growth < 1.1,
    )
