"""Key servers that fail in ten ways at once, each for an issuer of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.bootstrap import Json
from support.envoy import Envoy
from support.key_server import Fault, KeyServer
from support.waiting import until

from .. import stage
from ..control import RETRY_AFTER, Lane, Sample
from ..load import Load, refused, statuses
from ..report import Report, mebibytes, seconds
from ..signing import SigningKey

_FAULTS: dict[str, Fault | None] = {
    "connection refused": None,
    "no answer": Fault.HANG,
    "closed without an answer": Fault.CLOSE,
    "reset after headers": Fault.RESET_AFTER_HEADERS,
    "status 500": Fault.SERVER_ERROR,
    "HTML": Fault.HTML,
    "empty set": Fault.EMPTY_SET,
    "10 MB": Fault.HUGE,
    "slow drip": Fault.DRIP,
    "endless body": Fault.ENDLESS,
}

_REFRESH, _TIMEOUT = 2, 2
_OUTAGE_SECONDS = 6.0
# The pause after a failure is no longer than what came before it, but for a quarter of jitter.
_RECOVERY_SECONDS = 1.25 * _OUTAGE_SECONDS + _TIMEOUT
_RATE = 400


@dataclass
class Issuer:
    """One authorization server, and how it fails."""

    name: str
    fault: Fault | None
    server: KeyServer
    lane: Lane

    def break_down(self) -> None:
        if self.fault is None:
            self.server.refuse()
        else:
            self.server.behave(self.fault)

    def recover(self) -> None:
        self.server.behave()
        self.server.let_go()
        if self.fault is None:
            self.server.listen()


@contextmanager
def _issuers() -> Iterator[list[Issuer]]:
    with ExitStack() as stack:
        made = []
        for name, fault in _FAULTS.items():
            key = SigningKey()
            server = stack.enter_context(stage.key_server(key))
            made.append(Issuer(name, fault, server, key.lane(server.issuer)))
        yield made


def _configuration(issuers: Sequence[Issuer]) -> Json:
    return stage.configuration(
        *(
            stage.issuer(
                one.server,
                f"keys-{number}",
                refresh_seconds=_REFRESH,
                timeout_seconds=_TIMEOUT,
                max_stale_seconds=60,
            )
            for number, one in enumerate(issuers)
        )
    )


def run(report: Report, directory: Path) -> None:
    _known_keys(report, directory)
    _fresh_start(report, directory)
    _beyond_the_bound(report, directory)


def _known_keys(report: Report, directory: Path) -> None:
    """The keys are known when the outage begins: nobody notices it."""
    with _issuers() as issuers:
        one = stage.listener(_configuration(issuers))
        servers = {f"keys-{number}": each.server for number, each in enumerate(issuers)}
        with (
            stage.envoy(directory, one, servers) as envoy,
            Load(directory, envoy.port, [each.lane for each in issuers], rate=_RATE) as load,
        ):
            load.until_answered(time.monotonic(), lanes=len(issuers))
            memory = stage.resident_bytes(envoy.pid)
            began = time.monotonic()
            for each in issuers:
                each.break_down()
            load.run_for(_OUTAGE_SECONDS)
            for each in issuers:
                _until_failed(envoy, each, 2)
            peak = stage.resident_bytes(envoy.pid)
            ended = time.monotonic()
            tries = {each.name: stage.failed_fetches(envoy, each.server.issuer) for each in issuers}
            for each in issuers:
                each.recover()
            for each in issuers:
                wanted = len(each.server.fetch_times()) - len(_since(each, ended)) + 1
                each.server.wait_for_fetches(wanted, timeout=_RECOVERY_SECONDS + 20)
            load.until_answered(time.monotonic(), lanes=len(issuers))
            samples = load.stop()
        for lane, each in enumerate(issuers):
            own = [one for one in samples if one.lane == lane and one.answered >= began]
            if refused(own):
                report.say(load.summary(own))
            recovery = _since(each, ended)[0] - ended
            report.figure(
                f"known keys, {each.name}",
                f"{len(refused(own))} of {len(own)} not 200; {tries[each.name]} failed fetches; "
                f"fetched {seconds(recovery)} after recovery",
                f"0 not 200; {_RECOVERY_SECONDS:g} s at most",
                held=bool(own) and not refused(own) and recovery <= _RECOVERY_SECONDS,
            )
        report.figure(
            "known keys: Envoy's memory before and in the outage",
            f"{mebibytes(memory)}, {mebibytes(peak)}",
        )


def _fresh_start(report: Report, directory: Path) -> None:
    """Envoy starts in the outage: it says 503, and serves once it can."""
    with _issuers() as issuers:
        for each in issuers:
            each.break_down()
        one = stage.listener(_configuration(issuers))
        servers = {f"keys-{number}": each.server for number, each in enumerate(issuers)}
        with (
            stage.envoy(directory, one, servers) as envoy,
            Load(
                directory,
                envoy.port,
                [each.lane for each in issuers],
                rate=_RATE / 2,
                connections=512,  # each waits for as long as a fetch takes
            ) as load,
        ):
            load.run_for(_OUTAGE_SECONDS)
            ended = time.monotonic()
            for each in issuers:
                each.recover()
            load.until_answered(ended, lanes=len(issuers), timeout=_RECOVERY_SECONDS + 20)
            load.run_for(2.0)
            samples = load.stop()
        for lane, each in enumerate(issuers):
            own = [one for one in samples if one.lane == lane]
            down = [one for one in own if one.answered < ended]
            first = min(one.answered for one in own if one.status == 200 and one.sent >= ended - 5)
            after = refused(one for one in own if one.sent > first + _ADOPTION_SECONDS)
            report.figure(
                f"fresh start, {each.name}",
                f"{_told(down)}; first 200 {seconds(first - ended)} after recovery",
                f"503 with retry-after only; {_RECOVERY_SECONDS:g} s at most",
                held=bool(down)
                and _only_503(down)
                and _only_503(refused(own))
                and not after
                and first - ended <= _RECOVERY_SECONDS,
            )
            if after:
                report.say(f"refused after the first 200: {load.summary(after)}")


def _beyond_the_bound(report: Report, directory: Path) -> None:
    """The outage outlasts `max_stale_seconds`."""
    stale = 4
    bound = _REFRESH + stale
    key = SigningKey()
    with stage.key_server(key) as server:
        issuer = stage.issuer(
            server, refresh_seconds=_REFRESH, timeout_seconds=_TIMEOUT, max_stale_seconds=stale
        )
        one = stage.listener(stage.configuration(issuer))
        with (
            stage.envoy(directory, one, {"keys": server}) as envoy,
            Load(directory, envoy.port, [key.lane(server.issuer)], rate=_RATE) as load,
        ):
            load.until_answered(time.monotonic())
            server.wait_for_fetches(server.fetches() + 1)
            load.run_for(0.2)
            fetched = server.fetch_times()[-1]
            server.refuse()
            load.until(
                lambda samples: sum(1 for one in samples if one.status != 200) > _RATE,
                "keys to be too old",
                timeout=bound + 10,
            )
            ended = time.monotonic()
            server.listen()
            load.until_answered(ended, timeout=_RECOVERY_SECONDS + 20)
            load.run_for(1.5)
            samples = load.stop()
            report.say(load.summary(samples))
    down = [one for one in samples if one.answered < ended]
    bad = refused(down)
    first_bad = min(one.answered for one in bad) - fetched
    last_good = max(one.answered for one in down if one.status == 200) - fetched
    # The load's own delays, and the rest of a millisecond's tick.
    tolerance = 0.2
    report.figure(
        "beyond the bound: age of the keys at the last 200 and the first 503",
        f"{seconds(last_good)}, {seconds(first_bad)}",
        f"{bound} s",
        held=abs(first_bad - bound) <= tolerance and last_good <= bound + tolerance,
    )
    report.figure(
        "beyond the bound: refusals",
        _told(refused(samples)),
        "503 with retry-after only",
        held=_only_503(refused(samples)),
    )
    first = min(one.answered for one in samples if one.sent >= ended and one.status == 200)
    report.figure(
        "beyond the bound: recovery to the first 200",
        seconds(first - ended),
        f"{1.25 * (bound + 2):g} s at most",
        held=first - ended <= 1.25 * (bound + 2),
    )


# How long after one worker another one serves.
_ADOPTION_SECONDS = 1.5


def _until_failed(envoy: Envoy, issuer: Issuer, count: int) -> None:
    until(
        lambda: stage.failed_fetches(envoy, issuer.server.issuer) >= count,
        f"{count} fetches to have failed ({issuer.name})",
        timeout=20,
    )


def _since(issuer: Issuer, at: float) -> list[float]:
    return [one for one in issuer.server.fetch_times() if one >= at]


def _only_503(samples: Sequence[Sample]) -> bool:
    return all(one.status == 503 and one.flags & RETRY_AFTER for one in samples)


def _told(samples: Sequence[Sample]) -> str:
    if not samples:
        return "nothing refused"
    with_time = sum(1 for one in samples if one.flags & RETRY_AFTER)
    counted = ", ".join(f"{status or 'lost'}: {n}" for status, n in statuses(samples).items())
    return f"{counted} ({with_time} with retry-after)"
