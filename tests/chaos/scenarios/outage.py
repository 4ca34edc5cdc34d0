"""The key server fails in every way: good tokens go on, and nobody is called a forger."""

from __future__ import annotations

import time

from support import http1
from support.envoy import Envoy
from support.key_server import Fault, KeyServer
from support.waiting import until

from ..figures import Report
from ..load import Load
from ..world import Key, World, configuration, good_fetches, listener, status

FAULTS = [
    Fault.HANG,
    Fault.CLOSE,
    Fault.RESET_AFTER_HEADERS,
    Fault.SERVER_ERROR,
    Fault.HTML,
    Fault.EMPTY_SET,
    Fault.HUGE,
    Fault.ENDLESS,
    Fault.DRIP,
]
DOWN = "connection refused"
OUTAGE_SECONDS = 5.0


def run(world: World, report: Report) -> None:
    _known_keys(world, report)
    _fresh_start(world, report)
    _beyond_the_bound(world, report)
    _withdrawn(world, report)


def _break(server: KeyServer, fault: Fault | None) -> None:
    if fault is None:
        server.refuse()
    else:
        server.behave(fault)


def _mend(server: KeyServer, fault: Fault | None) -> None:
    if fault is None:
        server.listen()
    else:
        server.behave()
        server.let_go()


def _known_keys(world: World, report: Report) -> None:
    key = Key()
    server = world.key_server(key)
    timings = {"refresh_seconds": 1, "timeout_seconds": 1, "max_stale_seconds": 600}
    envoy = world.envoy(listener(configuration(server, **timings)), server)
    load = Load(envoy.port, key.token(server.issuer), rate=300)
    slowest = 0.0
    for fault in [None, *FAULTS]:
        name = fault.value if fault else DOWN
        _break(server, fault)
        begun, fetches = time.monotonic(), server.fetches()
        time.sleep(OUTAGE_SECONDS)
        before = good_fetches(envoy)
        _mend(server, fault)
        mended = time.monotonic()
        until(lambda at=before: good_fetches(envoy) > at, "a fetch to succeed", timeout=30)
        recovery = time.monotonic() - mended
        slowest = max(slowest, recovery)
        tries = server.fetches() - fetches
        counted = "" if fault is None else f", {tries} tries in {mended - begun:.0f} s"
        report.note("outage", f"{name}: fresh keys after", f"{recovery:.1f} s{counted}")
    statuses = load.stop().statuses
    report.check(
        "outage", "answers to good tokens, known keys", dict(statuses), "200 alone",
        set(statuses) == {200},
    )  # fmt: skip
    report.check("outage", "slowest recovery", f"{slowest:.1f} s", "under 10 s", slowest < 10)


def _fresh_start(world: World, report: Report) -> None:
    slowest = 0.0
    seen: set[int] = set()
    for fault in [None, *FAULTS]:
        key = Key()
        server = world.key_server(key)
        _break(server, fault)
        made = configuration(server, timeout_seconds=1)
        envoy = world.envoy(listener(made), server)
        token = key.token(server.issuer)
        first = http1.get(envoy.port, "/mcp", token)
        seen.add(first.status)
        assert first.header("retry-after"), "503 says when to come back"
        _mend(server, fault)
        mended = time.monotonic()

        def served(envoy: Envoy = envoy, token: str = token) -> bool:
            seen.add(found := status(envoy, token))
            return found == 200

        until(served, "good tokens to be served", timeout=30, interval=0.05)
        slowest = max(slowest, time.monotonic() - mended)
        envoy.stop()
    report.check(
        "outage", "answers at a fresh start", sorted(seen), "503, then 200", seen == {200, 503}
    )
    report.check(
        "outage", "slowest first answer after it", f"{slowest:.1f} s", "under 10 s", slowest < 10
    )


def _beyond_the_bound(world: World, report: Report) -> None:
    key = Key()
    server = world.key_server(key)
    timings = {"refresh_seconds": 1, "timeout_seconds": 1, "max_stale_seconds": 4}
    envoy = world.envoy(listener(configuration(server, **timings)), server)
    token = key.token(server.issuer)
    until(lambda: status(envoy, token) == 200, "good tokens to be served")
    server.refuse()
    refused = time.monotonic()
    load = Load(envoy.port, token, rate=100)
    time.sleep(7)
    server.listen()
    until(lambda: status(envoy, token) == 200, "good tokens to be served again", timeout=30)
    result = load.stop()
    late = min((one.due for one in result.answers if one.status == 503), default=0) - refused
    report.check(
        "beyond the bound", "answers to good tokens", dict(result.statuses), "200, then 503",
        set(result.statuses) == {200, 503},
    )  # fmt: skip
    report.check(
        "beyond the bound", "first 503 after the outage began", f"{late:.1f} s",
        "4 to 5 s, by max_stale_seconds", 3.9 <= late <= 5.3,
    )  # fmt: skip


def _withdrawn(world: World, report: Report) -> None:
    old, new = Key(), Key()
    server = world.key_server(old)
    made = configuration(server, refresh_seconds=2, unknown_key_cooldown_seconds=1)
    envoy = world.envoy(listener(made), server)
    token = old.token(server.issuer)
    load = Load(envoy.port, token, rate=400, connections=64)
    until(lambda: load.sent() > 400, "some traffic")
    before = server.fetches()
    server.keys = [new.jwk]
    server.wait_for_fetches(before + 1)
    fetched = time.monotonic()
    time.sleep(3)
    result = load.stop()
    last = max((one.due for one in result.answers if one.status == 200), default=0) - fetched
    report.check(
        "withdrawn key", "last accepted after the fetch", f"{last:.2f} s",
        "within 1 s, in all workers", last <= 1.1,
    )  # fmt: skip
    server.keys = [old.jwk]
    back = time.monotonic()
    until(
        lambda: {status(envoy, token) for _ in range(8)} == {200},
        "the key to be accepted again",
        timeout=20,
    )
    report.note("withdrawn key", "accepted again after", f"{time.monotonic() - back:.1f} s")
