"""Good traffic for half an hour, and everything else at the same time, again and again.

SOAK_MINUTES is for how long in all (default 30), SOAK_WORKERS with how many workers, such as "2"
(default "1 2", half of the time each). MCP_AUTH_ENVOY names another Envoy.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from support import attacks, cases, paths, volley
from support.bootstrap import Json, Listener
from support.envoy import Envoy
from support.http2 import Pairs, Together
from support.key_server import Fault, KeyServer
from support.ports import ReservedPort
from support.waiting import until

from .. import stage
from ..control import LOST, Lane, Sample
from ..load import Load, refused, retried
from ..report import Report, mebibytes
from ..signing import RESOURCE, SigningKey
from ..streams import EventStreams
from ..upstream import Upstream

_RATE = 50
_CONNECTIONS = 32
_STREAMS = 8
_BODIES = (0, 200, 20_000, 250_000)
_RENEW_SECONDS = 1.0

_COOLDOWN = 1
_REFRESH = 10
# Long enough for the streams of the old listener to be watched, and closed by their clients.
_DRAIN_SECONDS = 20
_LIMITS = {"held_requests": 4096, "held_body_bytes": 2**25, "body_seconds": 2}
_RULE = {"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]}

# More than end a stack, for each worker, and all of them may wait.
_CROWD_OF_A_WORKER = 500
_FORGED = 300
# Together less, and more, than `held_body_bytes` of each worker.
_BODIES_WITH_ROOM = 40
_BODIES_WITHOUT_ROOM = 110
_STORM = 400
_OUTAGE_SECONDS = 4.0
_UPDATE_EVERY = 3

# What is free stays with the allocator for a while, in pieces, and a VM keeps what it once had.
_GROWTH_BYTES = 24 * 2**20
_QUIET_SECONDS = 20.0

# What Envoy's log says of a VM that failed, or of calls into it that should not be.
_FAILURES = ("Maximum call stack", "proxy_on_", "in use")


def run(report: Report, directory: Path) -> None:
    minutes = float(os.environ.get("SOAK_MINUTES", "30"))
    workers = [int(one) for one in os.environ.get("SOAK_WORKERS", "1 2").split()]
    for count in workers:
        with Soak(report, directory / f"workers-{count}", count) as soak:
            soak.run(minutes * 60 / len(workers))


class Good:
    """Good traffic: tokens known and new, bodies small and large, by the key that is current."""

    def __init__(self, directory: Path, envoy: Envoy, key: SigningKey, issuer: str) -> None:
        self._lock = threading.Lock()
        self._issuer = issuer
        self._ended = threading.Event()
        self._envoy = envoy
        self.peak = 0
        self._lanes = self._lanes_of(key)
        self.load = Load(directory, envoy.port, self._lanes, rate=_RATE, connections=_CONNECTIONS)
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def use(self, key: SigningKey) -> None:
        """From now on; returns once everything that was sent before is answered, and this is."""
        with self._lock:
            self._lanes = self._lanes_of(key)
            began = time.monotonic()
            self.load.switch(self._lanes)
        self.load.until_answered(began, lanes=len(self._lanes))
        self.load.run_for(1.0)

    def stop(self) -> list[Sample]:
        self.end()
        return self.load.stop()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(5)

    def _renew(self) -> None:
        """Half of the tokens are new each second; looks how much memory there is, too."""
        while not self._ended.wait(_RENEW_SECONDS / 4):
            self.peak = max(self.peak, stage.resident_bytes(self._envoy.pid))
            with self._lock:
                self._lanes = self._lanes[: len(_BODIES)] + self._new_lanes()
                self.load.switch(self._lanes)

    def _lanes_of(self, key: SigningKey) -> list[Lane]:
        self._key = key
        token = key.token(self._issuer)
        return [Lane(token, size) for size in _BODIES] + self._new_lanes()

    def _new_lanes(self) -> list[Lane]:
        return [Lane(self._key.token(self._issuer), size) for size in _BODIES]


class Soak:
    """One Envoy, and what is thrown at it."""

    def __init__(self, report: Report, directory: Path, workers: int) -> None:
        self._report = report
        self._directory = directory
        self._workers = workers
        self._updates = 0
        self._answers: dict[str, Counter[int]] = {}
        self._floods: list[tuple[float, float]] = []
        self._cut: list[str] = []
        self._events = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        try:
            self._key, self._other = SigningKey(), SigningKey()
            self._server: KeyServer = enter(stage.key_server(self._key))
            self._upstream = enter(Upstream())
            self._port = enter(ReservedPort()).number
            self._envoy: Envoy = enter(self._start())
            good = Good(self._directory, self._envoy, self._key, self._server.issuer)
            self._good = good
            enter(good.load)
            self._stack.callback(good.end)
            good.load.until_answered(time.monotonic(), lanes=2 * len(_BODIES))
            self._open_streams()
            self._stack.callback(lambda: self._streams.close())
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> Envoy:
        clusters = {"keys": self._server.port, "upstream": self._upstream.port}
        return Envoy(
            self._directory,
            {"mcp": self._listener()},
            clusters,
            concurrency=self._workers,
            dynamic=True,
            drain_seconds=_DRAIN_SECONDS,
        )

    def _listener(self) -> Listener:
        issuer = stage.issuer(
            self._server,
            query=f"?place={self._updates // 2}",
            refresh_seconds=_REFRESH,
            unknown_key_cooldown_seconds=_COOLDOWN,
        )
        resource = {"resource": RESOURCE, "name": f"{self._updates}", "operations": [_RULE]}
        configuration: Json = {"issuers": [issuer], "resources": [resource], "limits": _LIMITS}
        return Listener(
            wasm=paths.wasm_module(),
            configuration=configuration,
            port=self._port,
            failure_policy="FAIL_RELOAD",
            holds_headers=True,
            exact_balance=True,
            manager={"access_log": []},
        )

    def _open_streams(self) -> None:
        token = self._key.token(self._server.issuer)
        self._streams = EventStreams(self._envoy.port, token, _STREAMS)

    def _close_streams(self) -> None:
        self._streams.close()
        self._cut += self._streams.cut
        self._events += self._streams.events

    # One round

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        levels: list[int] = []
        start = stage.resident_bytes(self._envoy.pid)
        while time.monotonic() < end or len(levels) < 2:
            self._round(len(levels))
            levels.append(self._level(levels[0] + _GROWTH_BYTES if levels else None))
            self._report.say(
                f"{self._workers} workers, round {len(levels)}: {mebibytes(levels[-1])}, "
                f"{len(self._good.load.samples())} good requests, "
                f"{len(refused(self._good.load.samples()))} refused"
            )
        self._good.load.run_for(1.0)
        samples = self._good.stop()
        self._close_streams()
        self._judge(samples, start, levels)

    def _round(self, number: int) -> None:
        steps: list[Callable[[], None]] = [
            self._crowd,
            self._new_kid,
            self._same_kid,
            self._endless_bodies,
            self._flood_of_bodies,
            self._forged,
            self._connections,
            lambda: self._outage(Fault.HANG),
            lambda: self._outage(None),
        ]
        if number % _UPDATE_EVERY == 0:
            steps.insert(0, self._update)
        for step in steps:
            step()
            self._envoy.check()

    def _update(self) -> None:
        """A new configuration; every second one has its keys elsewhere, where they are slow."""
        self._updates += 1
        self._server.behave(delay_seconds=0.4)
        self._envoy.update({"mcp": self._listener()})
        self._good.load.run_for(3.0)
        self._server.behave()
        # Envoy cuts those of the old listener itself, when it has been drained.
        self._close_streams()
        self._open_streams()

    def _crowd(self) -> None:
        """Anonymous requests with a `kid` that does not exist, while the issuer is slow."""
        self._until_keys_may_be_asked_for()
        self._server.behave(delay_seconds=60)
        token = SigningKey(f"invented-{time.monotonic_ns()}").token(self._server.issuer)
        count = _CROWD_OF_A_WORKER * self._workers
        crowd = Together(self._envoy.port, [(_request(token), b"")] * count)
        until(lambda: stage.waiting_requests(self._envoy) >= count, "all to wait", timeout=20)
        self._good.load.run_for(0.5)
        self._recover()
        self._note("crowd", crowd.statuses())

    def _forged(self) -> None:
        good = self._key.token(self._server.issuer)
        head, payload, _ = good.split(".")
        tokens = [f"{head}.{payload}.{'A' * 86}", f"{head}.{payload}.", f"eyJhbGciOiJub25lIn0.{payload}."]
        requests = [(_request(tokens[number % 3]), b"") for number in range(_FORGED)]
        self._note("forged tokens", Together(self._envoy.port, requests).statuses())

    def _endless_bodies(self) -> None:
        token = self._key.token(self._server.issuer)
        counts = attacks.endless_bodies(volley.plain(self._envoy.port), token, _BODIES_WITH_ROOM)
        self._note("bodies that never end", counts.elements())

    def _flood_of_bodies(self) -> None:
        """More than there is room for: a good body may have to be sent again meanwhile."""
        token = self._key.token(self._server.issuer)
        began = time.monotonic()
        count = _BODIES_WITHOUT_ROOM * self._workers
        counts = attacks.endless_bodies(volley.plain(self._envoy.port), token, count)
        self._note("more such than have room", counts.elements())
        self._good.load.run_for(0.5)
        self._floods.append((began, time.monotonic()))

    def _connections(self) -> None:
        for _ in range(3):
            attacks.connection_storm(self._envoy.port, _STORM)

    def _outage(self, fault: Fault | None) -> None:
        """The issuer hangs, or is away, while keys are to be refreshed and unknown ones come."""
        if fault is None:
            self._server.refuse()
        else:
            self._server.behave(fault)
        token = SigningKey().token(self._server.issuer)
        crowd = Together(self._envoy.port, [(_request(token), b"")] * 50)
        self._good.load.run_for(_OUTAGE_SECONDS)
        if fault is None:
            self._server.listen()
        self._recover()
        self._note("unknown keys in an outage", crowd.statuses())

    def _new_kid(self) -> None:
        new = SigningKey()
        self._until_keys_may_be_asked_for()
        stage.publish(self._server, self._key, new)
        self._other, self._key = self._key, new
        self._good.use(new)

    def _same_kid(self) -> None:
        """The key that nobody uses any more is replaced under its `kid`, and used again."""
        replaced = SigningKey(self._other.kid)
        self._until_keys_may_be_asked_for()
        stage.publish(self._server, self._key, replaced)
        self._other, self._key = self._key, replaced
        self._good.use(replaced)

    def _recover(self) -> None:
        """The issuer is well again, and has been asked since."""
        fetches = self._fetches_done()
        self._server.behave()
        self._server.let_go()
        until(lambda: self._fetches_done() > fetches, "the keys to be fetched again", timeout=60)

    def _fetches_done(self) -> int:
        return sum(self._envoy.stats("mcp_auth_key_fetches_total.*result=ok").values())

    def _until_keys_may_be_asked_for(self) -> None:
        """Not so soon after a fetch that a new key would be answered 503, and none comes soon."""

        def may() -> bool:
            since = time.monotonic() - self._server.fetch_times()[-1]
            return _COOLDOWN + 1 <= since <= _REFRESH / 2

        until(may, "a good moment for a new key", timeout=60, interval=0.05)

    def _note(self, attack: str, statuses: Iterable[int]) -> None:
        self._answers.setdefault(attack, Counter()).update(statuses)

    def _level(self, wanted: int | None) -> int:
        """The least memory within some quiet seconds, or as soon as it is what is wanted."""
        until(lambda: stage.waiting_requests(self._envoy) == 0, "nobody to wait", timeout=30)
        least = stage.resident_bytes(self._envoy.pid)
        deadline = time.monotonic() + _QUIET_SECONDS
        while time.monotonic() < deadline and (wanted is None or least > wanted):
            self._good.load.run_for(0.5)
            least = min(least, stage.resident_bytes(self._envoy.pid))
        return least

    # What came of it

    def _judge(self, samples: list[Sample], start: int, levels: list[int]) -> None:
        report, name = self._report, f"{self._workers} workers"
        for attack, statuses in self._answers.items():
            # 0: its connection was reset, which a client may see instead of an early answer.
            let_through = sum(count for status, count in statuses.items() if 0 < status < 400)
            report.figure(
                f"{name}: {attack}", _told(statuses), "none let through", held=not let_through
            )
        bad = refused(samples)
        without_room = [one for one in bad if self._had_no_room(one)]
        report.figure(
            f"{name}: good requests refused in {len(levels)} rounds, {self._updates} configurations",
            f"{len(bad) - len(without_room)} of {len(samples)}; {retried(samples)} sent again, "
            f"their connection just closed",
            "0",
            held=len(bad) == len(without_room),
        )
        report.say(self._good.load.summary(samples))
        report.figure(
            f"{name}: good bodies that came while others had taken all the room",
            f"{len(without_room)} got 503 with retry-after, or a reset",
        )
        report.figure(
            f"{name}: event streams cut",
            f"{len(self._cut)}; {self._events} events" + "".join(f"; {one}" for one in self._cut[:3]),
            "0",
            held=not self._cut and self._events > 0,
        )
        reloads = self._envoy.stats("vm_reload")
        lines = [one for one in self._envoy.log().splitlines() if any(f in one for f in _FAILURES)]
        machines = self._envoy.stats("wasm.*[.](created|active)$")
        report.figure(
            f"{name}: VMs that failed, lines of the log about it",
            f"{sum(reloads.values())}, {len(lines)} ({_told(machines)})",
            "0, 0",
            held=not any(reloads.values()) and not lines,
        )
        growth = max(levels[1:]) - levels[0]
        report.figure(
            f"{name}: Envoy's memory: start, after the first round, peak, last",
            ", ".join(mebibytes(one) for one in (start, levels[0], self._good.peak, levels[-1])),
            f"each round ends at most {mebibytes(_GROWTH_BYTES)} above the first",
            held=growth <= _GROWTH_BYTES,
        )

    def _had_no_room(self, one: Sample) -> bool:
        """Documented: the newest body gets 503 while others take all the room there is."""
        if not any(one.answered >= began and one.sent <= end for began, end in self._floods):
            return False
        has_body = _BODIES[one.lane % len(_BODIES)] > 0
        told = self._good.load.reason(one) == cases.reasons()["no_room_for_body"]["description"]
        return has_body and (told or one.status == LOST)


def _request(bearer: str) -> Pairs:
    return [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"mcp.example.com"),
        (b":path", b"/mcp"),
        (b"authorization", b"Bearer " + bearer.encode()),
    ]


def _told(counts: Counter[int] | dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))
