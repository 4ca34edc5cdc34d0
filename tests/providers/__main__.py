"""`make providers`: every provider, or those that are named, with what each shows."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from .stage import Row, Stage
from .stories import ALL


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"providers: no provider {unknown[0]!r}; there are {', '.join(ALL)}")
        return 2
    # A terminated run ends its children in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.getLogger("mcp").setLevel(
        logging.CRITICAL
    )  # It has a traceback for each login that fails.
    started = time.monotonic()
    rows: list[Row] = []
    failed: list[str] = []
    for name in names or ALL:
        print(f"\n{name}", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mcp-auth-providers-") as directory:
            stage = Stage(name, Path(directory))
            try:
                ALL[name](stage)
            except Exception as error:
                failed.append(name)
                print(f"  FAILED: {type(error).__name__}: {error}", flush=True)
                print(traceback.format_exc()[-1500:])
                print("\n".join(f"    {line[:300]}" for line in stage.last_logs.splitlines()[-40:]))
            else:
                print(f"  passed in {time.monotonic() - began:.0f} s", flush=True)
            rows += stage.rows
    print(
        f"\n{table(rows)}\n\nproviders: {time.monotonic() - started:.0f} s, load average {os.getloadavg()[0]:.1f}"
    )
    print(f"{len(names or ALL) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def table(rows: list[Row]) -> str:
    lines = ["| provider | what | seen |", "|---|---|---|"]
    for row in rows:
        cells = (row.provider, row.what, row.seen)
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
