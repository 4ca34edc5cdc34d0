"""Medians with their spread, and ratios that are taken within a round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from support.bootstrap import Json


@dataclass(frozen=True)
class Figure:
    median: float
    least: float
    most: float

    def text(self, form: Callable[[float], str]) -> str:
        if self.least == self.most:
            return form(self.median)
        return f"{form(self.median)} ({form(self.least)} to {form(self.most)})"


def figure(values: Sequence[float]) -> Figure:
    return Figure(statistics.median(values), min(values), max(values))


def values(results: Json, scenario: str, contender: str, member: str = "cpu_us") -> list[float]:
    """One for each round; empty if it was not measured."""
    found = results["scenarios"].get(scenario, {}).get("samples", {}).get(contender, [])
    return [sample[member] for sample in sorted(found, key=lambda one: one["round"])]


def each_round(rule: Callable[..., float], *columns: Sequence[float]) -> Figure | None:
    """The rule on what each round has in these columns; None where one was not measured."""
    if not all(columns):
        return None
    return figure([rule(*row) for row in zip(*columns, strict=True)])


def ratio(above: float, below: float) -> float:
    return above / below
