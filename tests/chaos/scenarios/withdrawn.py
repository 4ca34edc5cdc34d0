"""A key leaves the published set, as after a theft, and comes back later."""

from __future__ import annotations

import time
from pathlib import Path

from .. import stage
from ..load import Load, refused, statuses
from ..report import Report, seconds
from ..signing import SigningKey

_REFRESH = 2
_RATE = 600
# A refresh is a tenth early at most and never late; workers look once a second for what another
# one has fetched.
_REFUSED_AFTER_FETCH = 1.2
_ACCEPTED_AFTER = _REFRESH + _REFUSED_AFTER_FETCH
_STOLEN, _SOUND = 0, 1


def run(report: Report, directory: Path) -> None:
    stolen, sound = SigningKey(), SigningKey()
    with stage.key_server(stolen, sound) as server:
        # The default cooldown: a key that was refused must come back before it is over.
        issuer = stage.issuer(server, refresh_seconds=_REFRESH)
        one = stage.listener(stage.configuration(issuer))
        lanes = [stolen.lane(server.issuer), sound.lane(server.issuer)]
        with (
            stage.envoy(directory, one, {"keys": server}) as envoy,
            Load(directory, envoy.port, lanes, rate=_RATE) as load,
        ):
            load.until_answered(time.monotonic(), lanes=2)
            withdrawn = time.monotonic()
            stage.publish(server, sound)
            load.until(
                lambda samples: (
                    sum(1 for one in samples if one.lane == _STOLEN and one.status == 401)
                    > 2 * _RATE
                ),
                "the withdrawn key to be refused for some time",
            )
            returned = time.monotonic()
            stage.publish(server, stolen, sound)
            load.until_answered(returned, lanes=2)
            load.run_for(_ACCEPTED_AFTER)
            samples = load.stop()
            report.say(load.summary(samples))
            workers = len(stage.connections_of_workers(envoy))
        fetched = next(at for at in server.fetch_times() if at >= withdrawn)
        gone = [one for one in samples if one.lane == _STOLEN and one.sent < returned]
        last = max(one.sent for one in gone if one.status == 200)
        report.figure(
            f"withdrawal to its last use, any of {workers} workers",
            f"{seconds(last - withdrawn)}; {seconds(last - fetched)} after the refresh",
            f"{_REFUSED_AFTER_FETCH:g} s after the refresh at most",
            held=last - fetched <= _REFUSED_AFTER_FETCH,
        )
        after = [one for one in gone if one.sent > last]
        report.figure(
            "answers to the withdrawn key from then on",
            load.summary(after),
            "401 at the end, no 200",
            held=bool(after) and after[-1].status == 401,
        )
        back = [one for one in samples if one.lane == _STOLEN and one.sent >= returned]
        slowest = max(one.sent for one in refused(back)) if refused(back) else returned
        report.figure(
            "publication anew to acceptance by every worker",
            seconds(slowest - returned),
            f"{_ACCEPTED_AFTER:g} s at most",
            held=slowest - returned <= _ACCEPTED_AFTER and back[-1].status == 200,
        )
        others = [one for one in samples if one.lane == _SOUND]
        report.figure(
            "requests with the other key refused",
            f"{len(refused(others))} of {len(others)}",
            "0",
            held=statuses(others) == {200: len(others)},
        )
