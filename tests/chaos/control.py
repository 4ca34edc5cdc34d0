"""What a load generator is told, and what it tells: the memory and the file it shares.

Orders change at once, under load: the generator looks at them before each request, which costs it
one read of memory.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

_SIZE = 64 * 1024
_HEAD = struct.Struct("<QI")  # version, odd while being written; length

RETRY_AFTER = 1
CHALLENGED = 2
RETRIED = 4

LOST = 0
"""The status of a request that got no answer."""


@dataclass(frozen=True)
class Lane:
    """One kind of request; a generator takes its lanes in turn."""

    token: str = ""
    body_bytes: int = 0
    """Where set, each request is a POST with a message of so many bytes, and a few."""
    stranger_alg: str = ""
    """Where set, each request has a token of a key of its own that nobody publishes."""
    stranger_payload: str = ""
    invented: bool = False
    """True if each request has an opaque token of its own that nobody gave out."""


@dataclass(frozen=True)
class Orders:
    generation: int
    """Counts the changes of orders: every answer is noted with that of its request."""
    rate: float
    """Requests per second."""
    lanes: Sequence[Lane]
    stop: bool = False


class ControlBlock:
    """Orders in a mapped file, with one writer and one reader."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)

    def write(self, orders: Orders) -> None:
        text = json.dumps(asdict(orders)).encode()
        if len(text) > _SIZE - _HEAD.size:
            raise ValueError("the orders do not fit")
        version = self.version()
        _HEAD.pack_into(self._memory, 0, version + 1, len(text))
        self._memory[_HEAD.size : _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, 0, version + 2, len(text))

    def version(self) -> int:
        version: int = _HEAD.unpack_from(self._memory)[0]
        return version

    def read(self) -> tuple[int, Orders]:
        """The orders as a whole, with their version."""
        while True:
            version, length = _HEAD.unpack_from(self._memory)
            text = self._memory[_HEAD.size : _HEAD.size + length]
            if version % 2 == 0 and self.version() == version:
                try:
                    made: dict[str, Any] = json.loads(text)
                except ValueError:
                    # The head is not written in one go: its length may be the old one, or none.
                    continue
                made["lanes"] = [Lane(**lane) for lane in made["lanes"]]
                return version, Orders(**made)

    def close(self) -> None:
        self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Sample(NamedTuple):
    """One request and its answer; times by the monotonic clock, which processes share."""

    due: float
    """When it should have been sent."""
    sent: float
    answered: float
    status: int
    """LOST if there was no answer."""
    lane: int
    generation: int
    connection: int
    flags: int
    reason: int
    """Which line of the file of reasons."""

    @property
    def latency(self) -> float:
        """From when it was due, so that a stalled server cannot hide behind fewer requests."""
        return self.answered - self.due


RECORD = struct.Struct("<dddHHIHBB")
