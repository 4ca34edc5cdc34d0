"""`python -m chaos [--list] [--keep DIRECTORY] [SCENARIO ...]`: all scenarios, or those named."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from support import paths

from .report import Report
from .scenarios import SCENARIOS
from .signing import ALGORITHMS, SigningKey


def main() -> int:
    arguments = argparse.ArgumentParser(prog="chaos", description=__doc__)
    arguments.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    arguments.add_argument("--list", action="store_true", help="name the scenarios, and end")
    arguments.add_argument("--algorithm", choices=ALGORITHMS, default=ALGORITHMS[0])
    arguments.add_argument("--keep", type=Path, help="where logs and samples are to stay")
    given = arguments.parse_args()
    if given.list:
        print("\n".join(SCENARIOS))
        return 0
    if unknown := set(given.scenarios) - SCENARIOS.keys():
        arguments.error(f"no such scenario: {', '.join(sorted(unknown))}")
    module = paths.wasm_module()
    SigningKey.algorithm = given.algorithm
    # A terminated run ends its children in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = Report()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcp-auth-chaos-") as temporary:
        directory = given.keep or Path(temporary)
        for name in given.scenarios or SCENARIOS:
            _run(name, report, directory / name)
    report.scenario = "all"
    left = _children()
    report.figure("processes left behind", f"{len(left)}", "0", held=not left)
    print(
        f"\n{module.name}, {given.algorithm}, {time.monotonic() - began:.0f} s, "
        f"load average {os.getloadavg()[0]:.1f} at the end\n\n{report.table()}\n"
    )
    for row in report.broken:
        print(f"BROKEN: {row.scenario}: {row.figure}: {row.value} (promised: {row.promise})")
    return 1 if report.broken else 0


def _run(name: str, report: Report, directory: Path) -> None:
    report.scenario = name
    report.say("begins")
    directory.mkdir(parents=True, exist_ok=True)
    try:
        SCENARIOS[name](report, directory)
    except Exception as error:
        # One that breaks is a finding; the others still have something to say.
        traceback.print_exc()
        summary = (str(error) or repr(error)).splitlines()[0]
        report.figure("ran to its end", f"no: {type(error).__name__}: {summary}", "yes", held=False)


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


if __name__ == "__main__":
    sys.exit(main())
