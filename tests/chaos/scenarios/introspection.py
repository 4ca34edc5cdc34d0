"""The server that is asked about opaque tokens is slow, dead, flapping, wrong; somebody invents
tokens; and a token is revoked."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.introspection_server import (
    INACTIVE,
    Answer,
    IntrospectionServer,
    active,
    asking_cluster,
)

from .. import stage
from ..control import RETRY_AFTER, Lane, Sample
from ..load import Load, percentile, refused
from ..report import Report, milliseconds, seconds
from ..signing import RESOURCE

_CACHE = 2
_TOKENS = 12
_RATE = 300
# More than a worker asks about (docs/introspection.md): the rest is refused unasked.
_FLOOD_RATE = 800
# With which a machine that does much else answers.
_TIMEOUT = 10
_PHASE_SECONDS = 6.0
# For each worker and issuer (docs/introspection.md).
_AT_ONCE = 16

Fault = Callable[[str], Answer | None]


def run(report: Report, directory: Path) -> None:
    with _running(directory) as (server, load):
        _phases(report, server, load)
        _flood(report, directory, server, load)
        _revocation(report, server, load)
        _no_flaws(report, server)


def run_flooded(report: Report, directory: Path) -> None:
    """The same, with the invented tokens beside every phase."""
    with (
        _running(directory) as (server, load),
        Load(
            directory, load.port, [Lane(invented=True)], rate=_FLOOD_RATE, connections=128
        ) as flood,
    ):
        _phases(report, server, load)
        _revocation(report, server, load)
        _invented(report, server, flood)
        _no_flaws(report, server)


def _phases(report: Report, server: IntrospectionServer, load: Load) -> None:
    _steady(report, server, load)
    _slow(report, server, load)
    flaps = itertools.count()
    closed: Answer = (0, b"")
    _trouble(report, "flapping", server, load, lambda _: closed if next(flaps) % 2 else None)
    _trouble(report, "dead", server, load, lambda _: closed)
    answers = itertools.cycle([(500, b""), (401, b""), (200, b"<html>"), (200, b"{}")])
    _trouble(report, "wrong", server, load, lambda _: next(answers))


def _no_flaws(report: Report, server: IntrospectionServer) -> None:
    report.figure(
        "questions that were not as they should be",
        "; ".join(sorted(set(server.flaws))) or "none",
        "none",
        held=not server.flaws,
    )


@contextmanager
def _running(directory: Path) -> Iterator[tuple[IntrospectionServer, Load]]:
    with ExitStack() as stack:
        server = stack.enter_context(IntrospectionServer())
        names = [f"known_{number:02}_{'0' * 16}" for number in range(_TOKENS)]
        for name in names:
            server.tokens[name] = active(
                {"aud": RESOURCE, "sub": name, "exp": int(time.time()) + 3600}
            )
        issuer = {
            "issuer": server.issuer,
            "introspection": {
                "cluster": "introspection",
                "endpoint": server.endpoint,
                "cache_seconds": _CACHE,
            },
            "keys": {"timeout_seconds": _TIMEOUT},
        }
        cluster = asking_cluster(
            "introspection", server.port, server.credentials, directory / "secrets"
        )
        envoy = stack.enter_context(
            stage.envoy(
                directory,
                stage.listener(stage.configuration(issuer)),
                {},
                more_clusters=[cluster],
            )
        )
        # Whoever waits for an answer keeps a connection.
        lanes = [Lane(token=name) for name in names]
        load = stack.enter_context(Load(directory, envoy.port, lanes, rate=_RATE, connections=256))
        yield server, load


def _phase(load: Load, length: float = _PHASE_SECONDS) -> list[Sample]:
    """The requests of the next seconds."""
    began = time.monotonic()
    load.run_for(length)
    return [one for one in load.samples() if one.sent >= began]


def _steady(report: Report, server: IntrospectionServer, load: Load) -> None:
    load.until_answered(time.monotonic(), lanes=_TOKENS)
    began = time.monotonic()
    samples = _phase(load)
    lasted = time.monotonic() - began
    asked = Counter(
        token for at, token in server.asked if at >= began and token in server.tokens
    )
    allowed = stage.WORKERS * (int(lasted / _CACHE) + 1)
    most = max(asked.values())
    report.figure(
        f"questions per token in {lasted:.1f} s, cache_seconds {_CACHE}, {stage.WORKERS} workers",
        f"{sum(asked.values()) / _TOKENS:.1f}, {most} at most",
        f"one per worker and {_CACHE} s: {allowed} at most",
        held=most <= allowed,
    )
    _none_refused(report, "a server that is well", load, samples)


def _slow(report: Report, server: IntrospectionServer, load: Load) -> None:
    server.delay_seconds = 1.0
    samples = _phase(load)
    server.delay_seconds = 0.0
    _recovered(report, "slow", load)
    _none_refused(report, "a server that takes a second", load, samples)


def _trouble(
    report: Report, name: str, server: IntrospectionServer, load: Load, fault: Fault
) -> None:
    """What is known holds to its end; then it is 503, never 401."""
    server.fault = fault
    samples = _phase(load)
    server.fault = None
    _recovered(report, name, load)
    bad = refused(samples)
    others = [one for one in bad if one.status != 503 or not one.flags & RETRY_AFTER]
    report.figure(
        f"{name}: answers", load.summary(samples), "200, or 503 with retry-after", held=not others
    )


def _recovered(report: Report, name: str, load: Load) -> None:
    at = time.monotonic()
    load.until_answered(at, lanes=_TOKENS, timeout=60)
    # 503 holds for a second; each worker asks by itself.
    load.run_for(_CACHE)
    late = [one for one in refused(load.samples()) if one.sent >= at]
    took = max((one.sent for one in late), default=at) - at
    report.figure(
        f"{name}: last refusal after the recovery", seconds(took), "5 s at most", held=took <= 5
    )


def _flood(report: Report, directory: Path, server: IntrospectionServer, load: Load) -> None:
    calm = _phase(load)
    server.delay_seconds, server.at_once = 0.02, 0
    with Load(
        directory, load.port, [Lane(invented=True)], rate=_FLOOD_RATE, connections=128
    ) as flood:
        samples = _phase(load, 2 * _PHASE_SECONDS)
        _invented(report, server, flood)
    server.delay_seconds = 0.0
    _none_refused(report, "flood", load, samples)
    p99 = percentile(calm, 99), percentile(samples, 99)
    report.figure(
        "flood: p99 of good requests before it, in it",
        f"{milliseconds(p99[0])}, {milliseconds(p99[1])}",
    )


def _invented(report: Report, server: IntrospectionServer, flood: Load) -> None:
    """What became of the invented tokens, at the end."""
    invented = flood.stop()
    told = flood.summary(invented)
    wrong = [one for one in invented if one.status not in (401, 503)]
    report.figure("flood: answers to invented tokens", told, "401 or 503", held=not wrong)
    report.figure(
        "flood: questions at once",
        f"{server.at_once}",
        f"{_AT_ONCE} for each worker",
        held=server.at_once <= _AT_ONCE * stage.WORKERS,
    )


def _revocation(report: Report, server: IntrospectionServer, load: Load) -> None:
    name = next(iter(server.tokens))
    load.until_answered(time.monotonic(), lanes=_TOKENS)
    server.tokens[name] = INACTIVE
    at = time.monotonic()
    samples = _phase(load)
    own = [one for one in samples if one.lane == 0 and one.sent >= at]
    last = max((one.sent for one in own if one.status == 200), default=at)
    report.figure(
        f"revocation to the last use, any of {stage.WORKERS} workers",
        seconds(last - at),
        f"cache_seconds {_CACHE}, and the way of a question",
        held=last - at <= _CACHE + 1 and own[-1].status == 401,
    )
    _none_refused(
        report, "revocation, the other tokens", load, [one for one in samples if one.lane != 0]
    )


def _none_refused(report: Report, name: str, load: Load, samples: Sequence[Sample]) -> None:
    bad = refused(samples)
    if bad:
        report.say(load.summary(bad))
    report.figure(
        f"{name}: good requests refused",
        f"{len(bad)} of {len(samples)}; p50 {milliseconds(percentile(samples, 50))}, "
        f"p99 {milliseconds(percentile(samples, 99))}",
        "0",
        held=bool(samples) and not bad,
    )
