"""What a key server saw: how many fetches, and how close together."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

# Between the filter's clock reading and the key server's lies the way of a request.
WAY_SECONDS = 0.1


def between(times: Sequence[float], begin: float, end: float) -> int:
    """How many lie in [begin, end); `times` are in order."""
    return bisect_left(times, end) - bisect_left(times, begin)


def per_interval(times: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many lie between each edge and the next."""
    return [between(times, begin, end) for begin, end in pairwise(edges)]


def closest(times: Sequence[float]) -> float:
    """The shortest time between two; infinite if there are fewer."""
    return min(
        (after - before for before, after in pairwise(times)),
        default=math.inf,
    )
