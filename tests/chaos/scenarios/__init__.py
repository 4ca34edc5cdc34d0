"""The scenarios, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..report import Report
from . import (
    cold_start,
    introspection,
    native,
    outage,
    rotation,
    soak,
    storm,
    updates,
    waiting,
    withdrawn,
)

Scenario = Callable[[Report, Path], None]

SCENARIOS: dict[str, Scenario] = {
    "cold-start": cold_start.run,
    "rotation": rotation.run,
    "outage": outage.run,
    "withdrawn": withdrawn.run,
    "storm": storm.run,
    "waiting": waiting.run,
    "updates": updates.run,
    "introspection": introspection.run,
    "introspection-flooded": introspection.run_flooded,
    "native": native.run,
    "soak": soak.run,
}
