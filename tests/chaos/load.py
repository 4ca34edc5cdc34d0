"""Load from a process of its own, and what came of it."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from support.processes import Child
from support.waiting import until

from .control import LOST, RECORD, RETRIED, ControlBlock, Lane, Orders, Sample

TESTS = Path(__file__).resolve().parents[1]
CONNECTIONS = 64

_numbers = itertools.count(1)


class Load:
    """Runs from its start until `stop`; `samples` are there while it runs."""

    def __init__(
        self,
        directory: Path,
        port: int,
        lanes: Sequence[Lane],
        *,
        rate: float,
        connections: int = CONNECTIONS,
    ) -> None:
        self.port = port
        name = f"load-{next(_numbers)}"
        self._directory = directory / name
        self._directory.mkdir(parents=True)
        self._control = ControlBlock(self._directory / "control", create=True)
        self._orders = Orders(0, rate, lanes)
        self._control.write(self._orders)
        self._samples: list[Sample] = []
        self._child = Child(
            name,
            [
                sys.executable, "-m", "chaos.load_process",
                self._directory, str(port), str(connections),
            ],
            self._directory,
            environment={"PYTHONPATH": str(TESTS)},
        )  # fmt: skip
        try:
            self._child.first_json_line()
        except BaseException:
            self.__exit__()
            raise
        self._results = (self._directory / "results").open("rb")
        self._rest = b""

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def generation(self) -> int:
        return self._orders.generation

    def switch(self, lanes: Sequence[Lane]) -> int:
        """From the next request on; returns the generation of those requests."""
        self._orders = replace(self._orders, lanes=lanes, generation=self._orders.generation + 1)
        self._control.write(self._orders)
        return self._orders.generation

    def samples(self) -> list[Sample]:
        """All requests answered so far, in the order of their answers."""
        data = self._rest + self._results.read()
        whole = len(data) - len(data) % RECORD.size
        self._rest = data[whole:]
        self._samples += map(Sample._make, RECORD.iter_unpack(data[:whole]))
        return self._samples

    def until(
        self,
        condition: Callable[[list[Sample]], bool],
        what: str,
        timeout: float = 30.0,
    ) -> None:
        """Waits until the samples fulfil a condition."""

        def fulfilled() -> bool:
            self._child.check()
            return condition(self.samples())

        until(fulfilled, what, timeout=timeout, interval=0.03)

    def until_more(self, count: int, timeout: float = 60.0) -> None:
        wanted = len(self.samples()) + count
        self.until(lambda samples: len(samples) >= wanted, f"{count} more answers", timeout)

    def until_answered(self, since: float, lanes: int = 1, timeout: float = 30.0) -> None:
        """Waits until each lane had a 200 for a request that was sent after `since`."""
        self.until(
            lambda samples: (
                {one.lane for one in samples if one.sent >= since and one.status == 200}
                >= set(range(lanes))
            ),
            "an answer 200 of every kind",
            timeout,
        )

    def run_for(self, seconds: float) -> None:
        """Waits until answers to requests sent in these seconds are there."""
        end = time.monotonic() + seconds
        self.until(
            lambda samples: bool(samples) and samples[-1].sent >= end,
            f"{seconds:g} s of load",
            timeout=seconds + 30,
        )

    def stop(self) -> list[Sample]:
        """Lets every request under way be answered, and returns all samples."""
        self._control.write(replace(self._orders, stop=True))
        if (code := self._child.wait(30)) != 0:
            raise RuntimeError(f"the load generator ended with status {code}: {self._child.log()}")
        return self.samples()

    def reason(self, sample: Sample) -> str:
        return (self._directory / "reasons").read_text().split("\n")[sample.reason]

    def summary(self, samples: Iterable[Sample]) -> str:
        """Such as `200: 5000, 503 (The keys ...): 3`."""
        counted = Counter((one.status, one.reason) for one in samples)
        reasons = (self._directory / "reasons").read_text().split("\n")
        parts = [
            f"{status or 'lost'}{f' ({reasons[reason]})' if reasons[reason] else ''}: {count}"
            for (status, reason), count in sorted(counted.items())
        ]
        return ", ".join(parts) or "none"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()
        self._control.close()


def refused(samples: Iterable[Sample]) -> list[Sample]:
    """Those without a 200, the lost ones included."""
    return [one for one in samples if one.status != 200]


def lost(samples: Iterable[Sample]) -> list[Sample]:
    return [one for one in samples if one.status == LOST]


def retried(samples: Iterable[Sample]) -> int:
    return sum(1 for one in samples if one.flags & RETRIED)


def statuses(samples: Iterable[Sample]) -> dict[int, int]:
    return dict(sorted(Counter(one.status for one in samples).items()))


def pace(samples: Iterable[Sample]) -> str:
    """How late requests were sent: on a busy machine latencies are the machine's, not Envoy's."""
    delays = sorted(one.sent - one.due for one in samples)
    late = delays[int(len(delays) * 0.99)] if delays else math.nan
    return f"1 of 100 requests was sent {late * 1000:.1f} ms late or later"


def percentile(samples: Iterable[Sample], percent: float) -> float:
    """Of the latency, in seconds; not a number if there are no samples."""
    latencies = sorted(one.latency for one in samples)
    if not latencies:
        return math.nan
    return latencies[min(len(latencies) - 1, math.ceil(len(latencies) * percent / 100) - 1)]
