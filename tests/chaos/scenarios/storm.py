"""A thousand random keys a second, beside good traffic."""

from __future__ import annotations

import math
import time

from ..figures import Report, milliseconds, percentile
from ..load import Load
from ..world import Key, World, configuration, listener

COOLDOWN = 5
SECONDS = 20
STORM_RATE = 1000
GOOD_RATE = 300


def run(world: World, report: Report) -> None:
    key = Key()
    server = world.key_server(key)
    made = configuration(server, unknown_key_cooldown_seconds=COOLDOWN)
    envoy = world.envoy(listener(made), server)
    good = Load(envoy.port, key.token(server.issuer), rate=GOOD_RATE)
    time.sleep(8)
    before, fetches = time.monotonic(), server.fetches()
    storm = Load(envoy.port, Key().token(server.issuer), rate=STORM_RATE, random_kids=True)
    begun = time.monotonic()
    time.sleep(SECONDS)
    ended = time.monotonic()
    stormed = storm.stop()
    fetched = server.fetches() - fetches
    bound = math.ceil((time.monotonic() - begun) / COOLDOWN) + 1
    result = good.stop()
    report.note(
        "storm", "random keys", f"{len(stormed.answers)} in {ended - begun:.0f} s: "
        + ", ".join(f"{status} × {count}" for status, count in stormed.statuses.most_common()),
    )  # fmt: skip
    report.check(
        "storm", "fetches", fetched, f"at most {bound}, one for each {COOLDOWN} s", fetched <= bound
    )
    refused = sum(count for status, count in result.statuses.items() if status != 200)
    report.check("storm", "good tokens refused", refused, "0", refused == 0)
    # The first second of each part is for connecting.
    calm = percentile(result.latencies(begun - 7, before), 0.99)
    during = percentile(result.latencies(begun + 1, ended), 0.99)
    report.note("storm", "good traffic's p99 before", milliseconds(calm))
    report.note("storm", "good traffic's p99 during", milliseconds(during))
    report.note("storm", "ratio", f"{during / calm:.1f}")
    _rotation_meanwhile(world, report)


def _rotation_meanwhile(world: World, report: Report) -> None:
    """A new key in the middle of a storm: it may have to wait, but is never called bad."""
    old, new = Key(), Key()
    server = world.key_server(old)
    made = configuration(server, unknown_key_cooldown_seconds=COOLDOWN)
    envoy = world.envoy(listener(made), server)
    storm = Load(envoy.port, Key().token(server.issuer), rate=STORM_RATE, random_kids=True)
    time.sleep(2)
    server.keys = [old.jwk, new.jwk]
    rotated = time.monotonic()
    good = Load(envoy.port, new.token(server.issuer), rate=100)
    time.sleep(COOLDOWN + 3)
    storm.stop()
    result = good.stop()
    refused = result.statuses[401] + result.statuses[403]
    first = min((one.due for one in result.answers if one.status == 200), default=math.inf)
    report.check("storm", "new key called bad during it", refused, "never", refused == 0)
    report.check(
        "storm", "new key accepted after", f"{first - rotated:.1f} s",
        f"within the cooldown of {COOLDOWN} s", first - rotated <= COOLDOWN + 1,
    )  # fmt: skip
