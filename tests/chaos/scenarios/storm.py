"""Somebody sends tokens of random keys, beside good traffic and two real rotations."""

from __future__ import annotations

import time
from pathlib import Path

from support.key_server import KeyServer

from .. import fetches, stage
from ..control import Sample
from ..load import Load, pace, percentile, refused
from ..report import Report, milliseconds, seconds
from ..signing import SigningKey

_COOLDOWN = 5
_GOOD_RATE = 1000
_STORM_RATE = 1000
_CALM_SECONDS = 8.0
_STORM_SECONDS = 20.0
# A new key waits for the end of the cooldown; other workers may hear of it a little later.
_ACCEPTED_SECONDS = _COOLDOWN + 1.2


def run(report: Report, directory: Path) -> None:
    key = SigningKey()
    with stage.key_server(key) as server:
        issuer = stage.issuer(server, unknown_key_cooldown_seconds=_COOLDOWN)
        one = stage.listener(stage.configuration(issuer))
        with (
            stage.envoy(directory, one, {"keys": server}) as envoy,
            Load(directory, envoy.port, [key.lane(server.issuer)], rate=_GOOD_RATE) as good,
        ):
            good.until_answered(time.monotonic())
            calm = time.monotonic()
            cpu = stage.cpu_seconds(envoy.pid)
            good.run_for(_CALM_SECONDS)
            calm_cpu = (stage.cpu_seconds(envoy.pid) - cpu) / (time.monotonic() - calm)
            memory = stage.resident_bytes(envoy.pid)
            before = server.fetches()
            began, cpu = time.monotonic(), stage.cpu_seconds(envoy.pid)
            with Load(
                directory, envoy.port, [key.stranger_lane(server.issuer)], rate=_STORM_RATE
            ) as storm:
                server.wait_for_fetches(before + 2, timeout=30)
                good.run_for(_COOLDOWN / 2)
                quiet = time.monotonic()
                _rotate(report, server, good, "in mid-cooldown")
                # The worst moment: the set has just been sent, and lacks the key by a moment.
                server.wait_for_fetches(server.fetches() + 1, timeout=30)
                _rotate(report, server, good, "just after a fetch")
                good.run_for(max(1.0, began + _STORM_SECONDS - time.monotonic()))
                ended = time.monotonic()
                storm_cpu = (stage.cpu_seconds(envoy.pid) - cpu) / (ended - began)
                strangers = storm.stop()
                report.figure("answers to random keys", storm.summary(strangers))
                bad = [one for one in strangers if one.status not in (401, 503)]
                report.figure(
                    "random keys let through, or not answered", f"{len(bad)}", "0", held=not bad
                )
            grown = stage.resident_bytes(envoy.pid) - memory
            lines = len(envoy.log().splitlines())
            samples = good.stop()
            report.say(
                f"Envoy used {calm_cpu:.2f} cores before, {storm_cpu:.2f} in the storm, "
                f"and {grown / 2**20:.1f} MiB more memory at its end; its log has {lines} lines; "
                f"{pace(samples)}"
            )
        _judge(report, samples, server.fetch_times(), calm, began, quiet, ended)


def _rotate(report: Report, server: KeyServer, good: Load, when: str) -> None:
    """Publishes a new key, and has all good requests use it, until every one is accepted."""
    new = SigningKey()
    lane = new.lane(server.issuer)
    at = time.monotonic()
    server.keys = [*server.keys, new.jwk]
    generation = good.switch([lane])
    good.until(
        lambda samples: _accepted_since(samples, generation) >= _GOOD_RATE,
        "the new key to be accepted everywhere",
        timeout=_COOLDOWN * 3 + 10,
    )
    own = [one for one in good.samples() if one.generation == generation]
    first = min(one.answered for one in own if one.status == 200)
    last_refused = max((one.sent for one in refused(own)), default=at)
    report.figure(
        f"rotation {when}: new key first accepted, and by all",
        f"{seconds(first - at)}, {seconds(max(last_refused, first) - at)}",
        f"{_ACCEPTED_SECONDS:g} s at most",
        held=last_refused - at <= _ACCEPTED_SECONDS,
    )
    told = [one for one in refused(own) if one.status != 503]
    report.figure(
        f"rotation {when}: answers to the new key meanwhile",
        good.summary(one for one in own if one.sent <= last_refused),
        "200 or 503, no 401",
        held=not told,
    )


def _accepted_since(samples: list[Sample], generation: int) -> int:
    """How many have been accepted since the last refusal."""
    count = 0
    for one in reversed(samples):
        if one.generation != generation or one.status != 200:
            break
        count += 1
    return count


def _judge(
    report: Report,
    samples: list[Sample],
    times: list[float],
    calm: float,
    began: float,
    quiet: float,
    ended: float,
) -> None:
    storm_times = [at for at in times if began <= at < ended]
    allowed = int((ended - began) / _COOLDOWN) + 1
    report.figure(
        f"fetches in {ended - began:.1f} s",
        f"{len(storm_times)}, {seconds(fetches.closest(storm_times))} apart at least",
        f"one per cooldown of {_COOLDOWN} s: {allowed} at most",
        held=len(storm_times) <= allowed
        and fetches.closest(storm_times) >= _COOLDOWN - fetches.WAY_SECONDS,
    )
    known = [one for one in samples if one.generation == 0]
    report.figure(
        "good requests of the known key refused",
        f"{len(refused(known))} of {len(known)}",
        "0",
        held=not refused(known),
    )
    before = [one for one in samples if calm <= one.due < began]
    during = [one for one in known if began <= one.due < quiet]
    p99 = percentile(before, 99), percentile(during, 99)
    report.figure(
        "good requests: p99 before the storm, in it, ratio",
        f"{milliseconds(p99[0])}, {milliseconds(p99[1])}, {p99[1] / p99[0]:.1f}",
    )
    p50 = percentile(before, 50), percentile(during, 50)
    report.figure(
        "good requests: p50 before the storm, in it, ratio",
        f"{milliseconds(p50[0])}, {milliseconds(p50[1])}, {p50[1] / p50[0]:.1f}",
    )
