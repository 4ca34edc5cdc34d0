"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T | None],
    what: str,
    *,
    timeout: float = 10.0,
    interval: float = 0.01,
) -> T:
    """The first truthy value of `condition`; TimeoutError naming `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"after {timeout:g} s still waiting for {what}")
        time.sleep(interval)
