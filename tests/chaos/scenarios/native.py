"""The same for this filter and for Envoy's own jwt_authn, side by side.

jwt_authn cannot fetch for an unknown key: it knows new keys when its copy of the set is replaced,
every `cache_duration`. So it is measured with a long one and with a short one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.bootstrap import Listener
from support.key_server import KeyServer

from .. import stage
from ..load import Load, refused
from ..report import Report, seconds
from ..signing import SigningKey

_SLOW_SECONDS = 0.5
_RATE = 1000
_CONNECTIONS = 128
_ROTATIONS = 3
_ROTATION_SECONDS = 3.0
_STORM_SECONDS = 10.0
_COOLDOWN = 1
_SHORT_CACHE = 2


@dataclass
class Outcome:
    cold_fetches: int = 0
    cold_refused: str = ""
    rotation_fetches: int = 0
    rotation_refused: str = ""
    accepted: list[float] = field(default_factory=list)
    storm_fetches: int = 0
    storm_refused: str = ""


def run(report: Report, directory: Path) -> None:
    def ours(server: KeyServer) -> Listener:
        issuer = stage.issuer(server, unknown_key_cooldown_seconds=_COOLDOWN)
        return stage.listener(stage.configuration(issuer))

    contestants: dict[str, Callable[[KeyServer], Listener]] = {
        "this filter": ours,
        "jwt_authn, cache of 600 s": lambda server: stage.native_listener(server, 600),
        f"jwt_authn, cache of {_SHORT_CACHE} s": lambda server: stage.native_listener(
            server, _SHORT_CACHE
        ),
    }
    for name, listener in contestants.items():
        outcome = _measure(report, directory, name, listener)
        accepted = ", ".join(
            "never" if one == float("inf") else seconds(one) for one in outcome.accepted
        )
        report.figure(
            f"{name}: cold start",
            f"{outcome.cold_fetches} fetches, {outcome.cold_refused} refused",
        )
        report.figure(
            f"{name}: {_ROTATIONS} rotations, {_ROTATION_SECONDS:g} s apart",
            f"{outcome.rotation_fetches} fetches, {outcome.rotation_refused} good requests refused; "
            f"new key accepted everywhere after {accepted}",
        )
        report.figure(
            f"{name}: {_STORM_SECONDS:g} s of random keys, {_RATE} per second",
            f"{outcome.storm_fetches} fetches, {outcome.storm_refused} good requests refused",
        )


def _measure(
    report: Report, directory: Path, name: str, listener: Callable[[KeyServer], Listener]
) -> Outcome:
    outcome = Outcome()
    key = SigningKey()
    with stage.key_server(key) as server:
        server.behave(delay_seconds=_SLOW_SECONDS)
        with (
            stage.envoy(directory, listener(server), {"keys": server}) as envoy,
            Load(
                directory,
                envoy.port,
                [key.lane(server.issuer)],
                rate=_RATE,
                connections=_CONNECTIONS,
            ) as good,
        ):
            good.until_more(_RATE)
            first = list(good.samples())
            outcome.cold_fetches = server.fetches()
            outcome.cold_refused = f"{len(refused(first))} of {len(first)}"
            if refused(first):
                report.say(f"{name}: {good.summary(first)}")
            server.behave()

            mark, before = len(good.samples()), server.fetches()
            for _ in range(_ROTATIONS):
                outcome.accepted.append(_rotate(server, good))
            rotated = good.samples()[mark:]
            outcome.rotation_fetches = server.fetches() - before
            outcome.rotation_refused = f"{len(refused(rotated))} of {len(rotated)}"
            if refused(rotated):
                report.say(f"{name}: {good.summary(rotated)}")

            # The load goes back to the first key, which every copy of the set has.
            good.switch([key.lane(server.issuer)])
            good.run_for(0.5)
            mark, before = len(good.samples()), server.fetches()
            with Load(
                directory, envoy.port, [key.stranger_lane(server.issuer)], rate=_RATE
            ) as storm:
                good.run_for(_STORM_SECONDS)
                strangers = storm.stop()
                report.say(f"{name}: answers to random keys: {storm.summary(strangers)}")
            stormy = good.samples()[mark:]
            outcome.storm_fetches = server.fetches() - before
            outcome.storm_refused = f"{len(refused(stormy))} of {len(stormy)}"
    return outcome


def _rotate(server: KeyServer, good: Load) -> float:
    """Publishes one more key; how long good requests by it are refused."""
    new = SigningKey()
    lane = new.lane(server.issuer)
    at = time.monotonic()
    server.keys = [*server.keys, new.jwk]
    generation = good.switch([lane])
    with suppress(TimeoutError):
        good.run_for(_ROTATION_SECONDS)
    own = [one for one in good.samples() if one.generation == generation]
    bad = refused(own)
    if not bad:
        return min(one.answered for one in own) - at
    if bad[-1] is own[-1]:
        return float("inf")
    return max(one.sent for one in bad) - at
