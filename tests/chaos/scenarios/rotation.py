"""New signing keys under load, the old one dropped at once or kept for a while.

The load uses a key from the moment it is published. A request that was under way when its key was
withdrawn is judged by either key set, and counted for itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from .. import fetches, stage
from ..control import Sample
from ..load import Load, pace, percentile, refused
from ..report import Report, milliseconds
from ..signing import SigningKey

_ROTATIONS_OF_EACH_KIND = 10
_REQUESTS = 50_000
_RATE = 1600
_COOLDOWN = 1
# The cooldown begins with the fetch, a little after the rotation.
_LEAST_SECONDS = _COOLDOWN + 0.2


@dataclass
class Lifetime:
    """For how long the keys of one generation of requests were published."""

    published: float
    withdrawn: float = float("inf")


def run(report: Report, directory: Path) -> None:
    key = SigningKey()
    with stage.key_server(key) as server:
        issuer = stage.issuer(server, unknown_key_cooldown_seconds=_COOLDOWN)
        one = stage.listener(stage.configuration(issuer))
        with (
            stage.envoy(directory, one, {"keys": server}) as envoy,
            Load(directory, envoy.port, [key.lane(server.issuer)], rate=_RATE) as load,
        ):
            load.until_answered(time.monotonic())
            report.say(f"connections of the workers: {stage.connections_of_workers(envoy)}")
            cpu, began = stage.cpu_seconds(envoy.pid), time.monotonic()
            lifetimes = [Lifetime(began)]
            kinds = ["dropped at once"] * _ROTATIONS_OF_EACH_KIND
            kinds += ["with overlap"] * _ROTATIONS_OF_EACH_KIND
            edges: list[float] = []
            for number, kind in enumerate(kinds):
                new = SigningKey()
                lane = new.lane(server.issuer)
                at = time.monotonic()
                edges.append(at)
                if kind == "dropped at once":
                    lifetimes[-1].withdrawn = at
                    stage.publish(server, new)
                else:
                    # The key before the last one goes; nobody has used it since the last rotation.
                    stage.publish(server, key, new)
                lifetimes.append(Lifetime(at))
                load.switch([lane])
                key = new
                load.until_more(_REQUESTS // len(kinds) + 10)
                load.run_for(max(0.0, at + _LEAST_SECONDS - time.monotonic()))
                if number % 5 == 4:
                    report.say(f"{number + 1} rotations, {len(load.samples())} requests")
            edges.append(time.monotonic())
            used = (stage.cpu_seconds(envoy.pid) - cpu) / (time.monotonic() - began)
            samples = load.stop()
            report.say(f"Envoy used {used:.2f} cores; {pace(samples)}; {load.summary(samples)}")
            _judge(report, samples, lifetimes, kinds, edges, server.fetch_times())


def _judge(
    report: Report,
    samples: list[Sample],
    lifetimes: list[Lifetime],
    kinds: list[str],
    edges: list[float],
    times: list[float],
) -> None:
    current = [one for one in samples if one.answered < lifetimes[one.generation].withdrawn]
    crossed = [one for one in samples if one.answered >= lifetimes[one.generation].withdrawn]
    report.figure(
        "requests with the current key refused",
        f"{len(refused(current))} of {len(current)} in {len(kinds)} rotations",
        f"0 of {_REQUESTS} or more",
        held=not refused(current) and len(samples) >= _REQUESTS,
    )
    report.figure(
        "requests under way when their key was withdrawn, and refused",
        f"{len(refused(crossed))} of {len(crossed)}",
    )
    counts = fetches.per_interval(times, edges)
    for kind in dict.fromkeys(kinds):
        of_kind = [count for count, one in zip(counts, kinds, strict=True) if one == kind]
        report.figure(
            f"{kind}: fetches, each of {len(of_kind)} rotations",
            ", ".join(map(str, of_kind)),
            "1",
            held=set(of_kind) == {1},
        )
    firsts = [_first_answer(samples, generation) for generation in range(1, len(lifetimes))]
    report.figure(
        "publication of a key to the first 200 by it: slowest",
        milliseconds(
            max(
                first - lifetime.published
                for first, lifetime in zip(firsts, lifetimes[1:], strict=True)
            )
        ),
    )
    report.figure(
        "latency: p50, p99, longest",
        f"{milliseconds(percentile(samples, 50))}, {milliseconds(percentile(samples, 99))}, "
        f"{milliseconds(percentile(samples, 100))}",
    )


def _first_answer(samples: list[Sample], generation: int) -> float:
    return min(
        (one.answered for one in samples if one.generation == generation and one.status == 200),
        default=float("inf"),
    )
