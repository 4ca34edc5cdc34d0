"""A picture of the Grafana dashboard over four lively minutes: docs/dashboard.svg.

Starts two Envoys with the filter and a Prometheus that scrapes them, sends traffic through good and
bad times (first keys are slow, somebody guesses, a key server fails and comes back, another issuer
rotates), runs the queries of envoy/observability/grafana-dashboard.json over it, and draws each panel
where the dashboard has it. No Grafana takes part.

    scripts/setup && scripts/prometheus && make build
    .tools/venv/bin/python examples/dashboard/dashboard.py
    .tools/venv/bin/python examples/dashboard/dashboard.py --redraw    # what was seen last
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from picture import Data, draw
from support import dashboard, paths, tokens
from support.prometheus import Prometheus
from support.traffic import ENFORCES, FILES, MCP, OBSERVES, PARTNER, Traffic

SECONDS = 240
# A query looks back so far, as Grafana does for scrapes of a second.
RATE_INTERVAL = "10s"
STEP = 2.0
KEYS = {
    "refresh_seconds": 15,
    "timeout_seconds": 20,
    "unknown_key_cooldown_seconds": 5,
    "max_stale_seconds": 30,
}
TITLE = "Four minutes of generated traffic through two Envoys, keys.refresh_seconds = 15"

# From, to (seconds), requests a second, kind, Envoy, resource.
SCRIPT = [
    (8, SECONDS, 9.0, "good", ENFORCES, MCP),
    (8, SECONDS, 4.0, "good", ENFORCES, FILES),
    (8, SECONDS, 0.5, "login", ENFORCES, MCP),
    (8, SECONDS, 0.3, "login", ENFORCES, FILES),
    (8, SECONDS, 0.8, "metadata", ENFORCES, MCP),
    (8, SECONDS, 0.4, "preflight", ENFORCES, MCP),
    (0, SECONDS, 2.0, "foreign", ENFORCES, MCP),
    (8, SECONDS, 0.6, "expired", ENFORCES, MCP),
    (8, SECONDS, 0.4, "scope", ENFORCES, FILES),
    (45, 70, 4.0, "unknown-key", ENFORCES, MCP),
    (45, 70, 2.0, "forged", ENFORCES, FILES),
    (8, SECONDS, 3.0, "good", OBSERVES, MCP),
    (8, 190, 1.2, "audience", OBSERVES, MCP),
    (8, SECONDS, 0.4, "scope", OBSERVES, FILES),
]


OUT = paths.REPOSITORY / "docs" / "dashboard.svg"
SEEN = paths.REPOSITORY / "target" / "dashboard" / "seen.json"


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    if sys.argv[1:] != ["--redraw"]:
        SEEN.parent.mkdir(parents=True, exist_ok=True)
        SEEN.write_text(json.dumps(observe()))
    OUT.write_text(draw(dashboard.panels(), json.loads(SEEN.read_text()), SECONDS, TITLE))
    print(f"dashboard: {OUT} ({OUT.stat().st_size // 1024} KiB)")
    return 0


def observe() -> Data:
    with tempfile.TemporaryDirectory(prefix="mcp-auth-dashboard-") as directory:
        place = Path(directory)
        with (
            Traffic(place, paths.wasm_module(), keys=KEYS, concurrency=2) as traffic,
            Prometheus(place / "prometheus", traffic.admin_ports, job="envoy-mcp") as prometheus,
        ):
            print(f"dashboard: {SECONDS} seconds of traffic ...", flush=True)
            start = time.time()
            play(traffic, start)
            return collect(prometheus, start)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def play(traffic: Traffic, start: float) -> None:
    events = list(_events(traffic))
    owed = [0.0] * len(SCRIPT)
    before = 0.0
    while (now := time.time() - start) < SECONDS:
        while events and events[0][0] <= now:
            events.pop(0)[1]()
        for at, (begin, end, rate, kind, envoy, resource) in enumerate(SCRIPT):
            owed[at] += rate * max(0.0, min(now, end) - max(before, begin))
            while owed[at] >= 1:
                owed[at] -= 1
                traffic.send(kind, envoy, resource)
        before = now
        time.sleep(0.05)


def _events(traffic: Traffic) -> Iterator[tuple[float, Callable[[], None]]]:
    """What happens besides, and when."""

    def publish(*names: str) -> Callable[[], None]:
        def act() -> None:
            traffic.partner.keys = [tokens.public_jwk(name) for name in (*names, "rsa-small")]

        return act

    def sign() -> None:
        traffic.signing[PARTNER] = "ec-2"

    # Requests come while the first keys of one issuer are slow.
    yield 2, lambda: traffic.hold(12)
    yield 6, traffic.let_go
    # A body takes its time.
    yield 60, traffic.hold_body
    # The key server of the other one is away, for longer than its keys are trusted.
    yield 85, traffic.login.refuse
    yield 150, traffic.login.listen
    # One issuer rotates as it should: publish, sign, withdraw.
    yield 175, publish("ec-1", "ec-2")
    yield 195, sign
    yield 210, publish("ec-2")


def collect(prometheus: Prometheus, start: float) -> Data:
    """For each panel the legends and values, by seconds since the start."""
    data: Data = {}
    for panel in dashboard.panels():
        found = []
        for query in panel.queries:
            expression = query.resolved(RATE_INTERVAL)
            for one in prometheus.query_range(expression, start, start + SECONDS, STEP):
                values = [(at - start, float(text)) for at, text in one["values"]]
                kept = [(at, value) for at, value in values if value == value]
                if kept:
                    found.append((query.name(one["metric"]), kept))
        if panel.queries:
            data[panel.title] = sorted(found, key=lambda one: one[0])
    return data


if __name__ == "__main__":
    sys.exit(main())
