"""What a scenario found, beside what was promised."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    scenario: str
    name: str
    value: str
    promise: str = ""
    held: bool | None = None
    """None: nothing was promised."""


@dataclass
class Report:
    figures: list[Figure] = field(default_factory=list)

    def note(self, scenario: str, name: str, value: object) -> None:
        self._add(Figure(scenario, name, str(value)))

    def check(self, scenario: str, name: str, value: object, promise: str, held: bool) -> None:
        self._add(Figure(scenario, name, str(value), promise, held))

    def _add(self, figure: Figure) -> None:
        self.figures.append(figure)
        promise = f" (promised: {figure.promise})" if figure.promise else ""
        broken = "" if figure.held is not False else "   BROKEN"
        print(f"  {figure.name}: {figure.value}{promise}{broken}", flush=True)

    @property
    def broken(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.held is False]

    def table(self) -> str:
        lines = ["| scenario | figure | value | promise | held |", "|---|---|---|---|---|"]
        marks = {True: "yes", False: "**no**", None: ""}
        lines += [
            f"| {one.scenario} | {one.name} | {one.value} | {one.promise} | {marks[one.held]} |"
            for one in self.figures
        ]
        return "\n".join(lines)


def percentile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
