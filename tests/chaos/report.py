"""What a run says: progress as it goes, and one table at its end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    scenario: str
    figure: str
    value: str
    promise: str
    held: bool | None
    """None where nothing is promised."""

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "NO", None: "-"}[self.held]


@dataclass
class Report:
    rows: list[Row] = field(default_factory=list)
    scenario: str = ""
    _began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - self._began:5.1f} s] {self.scenario}: {text}", flush=True)

    def figure(
        self, figure: str, value: str, promise: str = "", *, held: bool | None = None
    ) -> None:
        """A row of the table, said at once as well."""
        row = Row(self.scenario, figure, value, promise, held)
        self.rows.append(row)
        verdict = "" if held is None else f" ({promise}: {row.verdict})"
        self.say(f"{figure}: {value}{verdict}")

    def table(self) -> str:
        lines = ["| scenario | figure | value | promise | held? |", "|---|---|---|---|---|"]
        for row in self.rows:
            cells = (row.scenario, row.figure, row.value, row.promise or "-", row.verdict)
            lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
        return "\n".join(lines)

    @property
    def broken(self) -> list[Row]:
        return [row for row in self.rows if row.held is False]


def seconds(value: float) -> str:
    return f"{value:.2f} s"


def milliseconds(value: float) -> str:
    return f"{value * 1000:.1f} ms"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.1f} MiB"
