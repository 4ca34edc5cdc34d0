"""Runs the scenarios, prints their figures, and fails if a promise is broken."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from .figures import Report
from .scenarios import native, outage, rotation, start, storm, updates, waiting
from .world import World, world

SCENARIOS: dict[str, Callable[[World, Report], None]] = {
    "start": start.run,
    "rotation": rotation.run,
    "outage": outage.run,
    "storm": storm.run,
    "waiting": waiting.run,
    "updates": updates.run,
    "native": native.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[*SCENARIOS, []], help="default: all of them")
    chosen = parser.parse_args().only or list(SCENARIOS)
    report = Report()
    begun = time.monotonic()
    for name in chosen:
        print(f"{name}:", flush=True)
        with world() as made:
            SCENARIOS[name](made, report)
    print(f"\n{report.table()}\n\n{time.monotonic() - begun:.0f} s in all")
    for figure in report.broken:
        print(f"broken: {figure.scenario}: {figure.name}: {figure.value}", file=sys.stderr)
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
