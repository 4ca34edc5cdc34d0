"""A new configuration each second, under load."""

from __future__ import annotations

import time
from pathlib import Path

from support.bootstrap import Listener
from support.ports import ReservedPort

from .. import fetches, stage
from ..load import Load, lost, percentile, refused, retried
from ..report import Report, mebibytes, milliseconds, seconds
from ..signing import SigningKey

_UPDATES = 60
_EVERY_SECONDS = 1.0
_RATE = 600
_STRANGERS_RATE = 40
_STRANGERS_CONNECTIONS = 16
_COOLDOWN = 1
# At its end Envoy cuts off whoever is left on an old listener, filter or not: long enough for every
# connection to have been told to close before.
_DRAIN_SECONDS = 10
# So slow that there are always some who wait while the configuration changes.
_KEYS_SECONDS = 0.4
# Each so many updates, the keys are elsewhere: all good requests wait for them too.
_MOVE = 10
_SETTLED = 10
_GROWTH_BYTES = 8 * 2**20


def run(report: Report, directory: Path) -> None:
    key = SigningKey()
    with stage.key_server(key) as server, ReservedPort() as port:
        server.behave(delay_seconds=_KEYS_SECONDS)

        def update(number: int) -> Listener:
            issuer = stage.issuer(
                server,
                query=f"?place={number // _MOVE}",
                unknown_key_cooldown_seconds=_COOLDOWN,
            )
            made = stage.configuration(issuer, name=f"update {number}")
            return stage.listener(made, port.number)

        with (
            stage.envoy(
                directory,
                update(0),
                {"keys": server},
                dynamic=True,
                drain_seconds=_DRAIN_SECONDS,
            ) as envoy,
            Load(directory, envoy.port, [key.lane(server.issuer)], rate=_RATE) as good,
            Load(
                directory,
                envoy.port,
                [key.stranger_lane(server.issuer)],
                rate=_STRANGERS_RATE,
                connections=_STRANGERS_CONNECTIONS,
            ) as strangers,
        ):
            good.until_answered(time.monotonic())
            began = time.monotonic()
            memory = []
            most_waiting = 0
            for number in range(1, _UPDATES + 1):
                envoy.update({"mcp": update(number)})
                memory.append(stage.resident_bytes(envoy.pid))
                most_waiting = max(most_waiting, stage.waiting_requests(envoy))
                if number % 15 == 0:
                    report.say(f"{number} updates, {mebibytes(memory[-1])}")
                good.run_for(max(0.0, began + number * _EVERY_SECONDS - time.monotonic()))
            took = time.monotonic() - began
            good_samples, stranger_samples = good.stop(), strangers.stop()
            report.say(f"good: {good.summary(good_samples)}")
            report.say(f"strangers: {strangers.summary(stranger_samples)}")
            stage.until_waiting(envoy, 0)
        report.figure(
            f"good requests refused in {_UPDATES} updates within {took:.0f} s",
            f"{len(refused(good_samples))} of {len(good_samples)}",
            "0",
            held=not refused(good_samples),
        )
        all_samples = good_samples + stranger_samples
        report.figure(
            "requests without an answer",
            f"{len(lost(all_samples))} of {len(all_samples)}; up to {most_waiting} waited "
            f"at an update; {retried(all_samples)} sent again, their connection just closed",
            "0",
            held=not lost(all_samples),
        )
        times = {path: server.fetch_times(path) for path in server.fetched()}
        # The first is for the first keys, and is no reason to wait with one for an unknown key.
        closest = min(fetches.closest(own[1:]) for own in times.values())
        report.figure(
            f"fetches from {len(times)} places, random keys all the time",
            f"{sum(map(len, times.values()))}; from one place {seconds(closest)} apart at least",
            f"the first, and then one for each cooldown of {_COOLDOWN} s",
            held=closest >= _COOLDOWN - fetches.WAY_SECONDS,
        )
        report.figure(
            "Envoy's memory: first update, tenth, last",
            f"{mebibytes(memory[0])}, {mebibytes(memory[_SETTLED - 1])}, {mebibytes(memory[-1])}",
            f"{mebibytes(_GROWTH_BYTES)} more at most since the tenth",
            held=memory[-1] - memory[_SETTLED - 1] <= _GROWTH_BYTES,
        )
        report.figure(
            "good requests: p50, p99, longest",
            ", ".join(milliseconds(percentile(good_samples, p)) for p in (50, 99, 100)),
        )
