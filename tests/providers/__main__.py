"""`make providers`: every provider, or those that are named, with what each shows."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from support import one_by_one

from .stage import Row, Stage
from .stories import ALL


def main(names: list[str]) -> int:
    # It has a traceback for each login that fails.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    rows: list[Row] = []

    def run(name: str, directory: Path) -> list[str]:
        stage = Stage(name, directory)
        try:
            ALL[name](stage)
        except BaseException:
            print("\n".join(f"    {line[:300]}" for line in stage.last_logs.splitlines()[-40:]))
            raise
        finally:
            rows.extend(stage.rows)
        return []

    return one_by_one.run("providers", names, ALL, run, lambda: f"{table(rows)}\n")


def table(rows: list[Row]) -> str:
    lines = ["| provider | what | seen |", "|---|---|---|"]
    for row in rows:
        cells = (row.provider, row.what, row.seen)
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
