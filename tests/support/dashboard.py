"""The Grafana dashboard as data: its panels, and their queries with Grafana's variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import paths

Json = dict[str, Any]

FILE = paths.REPOSITORY / "envoy" / "observability" / "grafana-dashboard.json"

# What Grafana puts in its place, and no variable of the dashboard.
_BUILT_IN = {"__rate_interval"}


@dataclass(frozen=True)
class Query:
    expression: str
    """As in the file, with variables."""
    legend: str

    def resolved(self, rate_interval: str, variables: Mapping[str, str] | None = None) -> str:
        """With each variable as it is where "All" is chosen, or as `variables` say."""
        values = {"__rate_interval": rate_interval, **(variables or {})}
        return re.sub(r"\$(\w+)", lambda found: values.get(found[1], ".*"), self.expression)

    def name(self, labels: Mapping[str, str]) -> str:
        """The legend of one of its series."""
        return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), self.legend)

    def variables(self) -> set[str]:
        return set(re.findall(r"\$(\w+)", self.expression)) - _BUILT_IN


@dataclass(frozen=True)
class Panel:
    json: Json

    @property
    def title(self) -> str:
        return self.json["title"]

    @property
    def kind(self) -> str:
        return self.json["type"]

    @property
    def grid(self) -> dict[str, int]:
        return self.json["gridPos"]

    @property
    def queries(self) -> list[Query]:
        return [Query(one["expr"], one["legendFormat"]) for one in self.json.get("targets", [])]


def load() -> Json:
    return json.loads(FILE.read_text())


def panels() -> list[Panel]:
    """Rows included, in the order of the file."""
    return [Panel(one) for one in load()["panels"]]


_GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"\b((?:mcp_auth|envoy)_\w+)\s*(?:\{([^}]*)\})?")


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric in a query, and the labels that its matchers name."""
    for metric, matchers in _SELECTOR.findall(_GROUPING.sub("", expression)):
        yield metric, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


def grouped(expression: str) -> set[str]:
    """The labels that a query groups or joins by."""
    return {label.strip() for one in _GROUPING.findall(expression) for label in one.split(",")}
