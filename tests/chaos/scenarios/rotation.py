"""The key is replaced twenty times under load: no good token is refused, and each costs one fetch."""

from __future__ import annotations

import time

from ..figures import Report, milliseconds, percentile
from ..load import Load
from ..world import Key, World, configuration, listener

ROTATIONS = 20
PERIOD_SECONDS = 1.8
RATE = 1450


def run(world: World, report: Report) -> None:
    key = Key()
    server = world.key_server(key)
    made = configuration(server, unknown_key_cooldown_seconds=1)
    envoy = world.envoy(listener(made), server)
    load = Load(envoy.port, key.token(server.issuer), rate=RATE, connections=64)
    at = time.monotonic()
    costs = []
    for number in range(ROTATIONS):
        at += PERIOD_SECONDS
        time.sleep(max(0.0, at - time.monotonic()))
        old, key = key, Key()
        before = server.fetches()
        load.pause()  # a token that is under way is not to turn into an old one
        # With overlap the old key stays for a rotation, else it is gone at once.
        server.keys = [key.jwk] if number % 2 == 0 else [old.jwk, key.jwk]
        load.switch(key.token(server.issuer))
        load.resume()
        # The cooldown is shorter than this: what is fetched now is for this rotation.
        time.sleep(PERIOD_SECONDS / 2)
        costs.append(server.fetches() - before)
    while load.sent() < 50_000:
        time.sleep(0.1)
    result = load.stop()
    statuses = result.statuses
    report.check(
        "rotation",
        "requests under load",
        sum(statuses.values()),
        "at least 50,000",
        sum(statuses.values()) >= 50_000,
    )
    refused = sum(count for status, count in statuses.items() if status != 200)
    report.check("rotation", "good tokens refused", refused, "0", refused == 0)
    report.check(
        "rotation",
        f"fetches for {ROTATIONS} rotations",
        sum(costs),
        f"{ROTATIONS}",
        costs == [1] * ROTATIONS,
    )
    report.check(
        "rotation", "fetches in all", server.fetches(), f"{ROTATIONS + 1}",
        server.fetches() == ROTATIONS + 1,
    )  # fmt: skip
    report.note("rotation", "p99", milliseconds(percentile(result.latencies(), 0.99)))
