"""Loads the contenders of a scenario in turn, round after round."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from support.bootstrap import Json
from support.envoy import Envoy

from . import load, machine
from .contenders import Contender
from .load import Outcome, Traffic
from .scenarios import Scenario

_WARM_UP_SECONDS = 1
# A lap over all tokens in rotation takes longer: whoever has no cache verifies each.
_LAP_SECONDS = 5

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Sample:
    """One contender in one round."""

    round: int
    cpu_us: float
    """CPU time of Envoy for each request, in microseconds."""
    requests_per_second: float
    p50_us: float
    p99_us: float
    requests: int

    def json(self) -> Json:
        return asdict(self)


def run(
    scenario: Scenario,
    contenders: Mapping[str, Contender],
    directory: Path,
    *,
    rounds: int,
    seconds: int,
) -> dict[str, list[Sample]]:
    """The samples of each contender, by round."""
    samples: dict[str, list[Sample]] = {name: [] for name in scenario.contenders}
    for number in range(rounds):
        for name in rotated(scenario.contenders, number):
            own = scenario.of(name)
            with _started(own, contenders[name], directory) as envoy:
                samples[name].append(_sample(own, envoy, number, seconds))
    return samples


def rotated(names: tuple[str, ...], number: int) -> tuple[str, ...]:
    """Another one is first in each round: whoever is loaded first may find a colder machine."""
    start = number % len(names)
    return names[start:] + names[:start]


def _started(scenario: Scenario, contender: Contender, directory: Path) -> Envoy:
    """An Envoy that is warm."""
    envoy_cores, _ = machine.cores_for(scenario.workers)
    with machine.on_cores(envoy_cores):
        envoy = Envoy(
            directory / f"envoy-{next(_numbers)}",
            {"mcp": contender.listener()},
            {},
            concurrency=scenario.workers,
            extra_clusters=contender.clusters,
        )
    try:
        laps = scenario.warm_up_laps
        seconds = _WARM_UP_SECONDS if scenario.new_tokens or not laps else _LAP_SECONDS
        _load(scenario, envoy, scenario.warm_up, seconds, laps)
    except BaseException:
        envoy.stop()
        raise
    return envoy


def _sample(scenario: Scenario, envoy: Envoy, number: int, seconds: int) -> Sample:
    before = machine.cpu_seconds(envoy.pid)
    outcome = _load(
        scenario, envoy, scenario.traffic, seconds, laps=1 if scenario.new_tokens else 0
    )
    used = machine.cpu_seconds(envoy.pid) - before
    return Sample(
        round=number,
        cpu_us=used / outcome.requests * 1e6,
        requests_per_second=outcome.requests / outcome.seconds,
        p50_us=outcome.p50_us,
        p99_us=outcome.p99_us,
        requests=outcome.requests,
    )


def _load(scenario: Scenario, envoy: Envoy, traffic: Traffic, seconds: int, laps: int) -> Outcome:
    _, cores = machine.cores_for(scenario.workers)
    return load.run(
        envoy.directory,
        envoy.port,
        traffic,
        seconds=seconds,
        threads=load.threads_for(scenario.workers, cores),
        laps=laps,
        cores=cores,
    )
