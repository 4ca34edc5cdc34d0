"""A cold start of four workers and the main thread."""

from __future__ import annotations

import time

from support.waiting import until

from ..figures import Report, milliseconds
from ..load import Load
from ..world import Key, World, configuration, good_fetches, listener


def run(world: World, report: Report) -> None:
    for discovery in (False, True):
        key = Key()
        server = world.key_server(key)
        envoy = world.envoy(listener(configuration(server, discovery=discovery)), server)
        ready = time.monotonic()
        until(lambda at=envoy: good_fetches(at) >= 1, "the first keys")
        known = time.monotonic() - ready
        load = Load(envoy.port, key.token(server.issuer), rate=500, connections=64)
        until(lambda at=load: at.sent() >= 500, "500 requests")
        statuses = load.stop().statuses
        how = "with discovery" if discovery else "with jwks_uri"
        fetched = server.fetched()
        expected = 2 if discovery else 1
        report.check(
            "cold start",
            f"fetches {how}",
            ", ".join(f"{path} {count}" for path, count in sorted(fetched.items())),
            f"{expected} in all",
            sum(fetched.values()) == expected,
        )
        report.check(
            "cold start", f"answers {how}", dict(statuses), "200 alone", set(statuses) == {200}
        )
        report.note("cold start", f"keys known after the start {how}", milliseconds(known))
