"""CPU time per request as a plot in SVG: a row for each scenario, a dot for each contender."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from support.bootstrap import Json

from .figures import figure, values

_COLOURS = {
    "none": "#8a8f98",
    "native": "#d1495b",
    "native-cached": "#edae49",
    "floor": "#9b7ede",
    "floor-foreign": "#9b7ede",
    "ours": "#00798c",
    "ours-opaque": "#3a5a40",
    "ours-interlock": "#7fc4cf",
}

_LEFT, _RIGHT, _TOP, _ROW, _BOTTOM, _WIDTH = 260, 24, 64, 30, 48, 860


def plot(results: Json) -> str:
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Json) -> Iterator[str]:
    names = list(results["scenarios"])
    found = [
        figure(values(results, name, contender))
        for name in names
        for contender in results["scenarios"][name]["samples"]
    ]
    least = min((one.least for one in found), default=10) * 0.9
    most = max((one.most for one in found), default=100) * 1.1

    # Logarithmic: equal distances are equal ratios.
    def x(value: float) -> float:
        share = math.log(value / least) / math.log(most / least)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    height = _TOP + _ROW * len(names) + _BOTTOM
    bottom = height - _BOTTOM
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13" role="img">'
    )
    yield "<title>CPU time of Envoy per request, median with the least and the most</title>"
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    for value in _ticks(least, most):
        yield f'<line x1="{x(value)}" x2="{x(value)}" y1="{_TOP - 8}" y2="{bottom}" stroke="#e4e6ea"/>'
        yield _text(x(value), bottom + 18, f"{value:g}", "middle", "#555b66")
    yield _text(
        (_LEFT + _WIDTH - _RIGHT) / 2,
        bottom + 38,
        "CPU time of Envoy per request, µs, logarithmic",
        "middle",
        "#555b66",
    )
    at, line = 16.0, 20
    # The two floors are one to the reader.
    titles = {title: contender for contender, title in results["contenders"].items()}
    for title, contender in titles.items():
        width = 34 + 7.2 * len(title)
        if at + width > _WIDTH:
            at, line = 16.0, line + 22
        yield f'<circle cx="{at:.1f}" cy="{line}" r="5" fill="{_COLOURS[contender]}"/>'
        yield _text(round(at + 11, 1), line + 4, title, "start", "#22262e")
        at += width
    for number, name in enumerate(names):
        y = _TOP + _ROW * number + _ROW / 2
        scenario = results["scenarios"][name]
        yield _text(_LEFT - 14, y + 4, scenario["title"], "end", "#22262e")
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#f1f2f4"/>'
        for contender in scenario["samples"]:
            one = figure(values(results, name, contender))
            colour = _COLOURS[contender]
            yield (
                f'<line x1="{x(one.least)}" x2="{x(one.most)}" y1="{y}" y2="{y}" '
                f'stroke="{colour}" stroke-width="3" stroke-opacity="0.5"/>'
            )
            yield (
                f'<circle cx="{x(one.median)}" cy="{y}" r="5" fill="{colour}" '
                'stroke="#ffffff"><title>'
                f"{escape(results['contenders'][contender])}: {one.median:.1f} µs</title></circle>"
            )
    yield "</svg>"


def _ticks(least: float, most: float) -> Iterator[float]:
    for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1):
        for factor in (1, 2, 5):
            if least <= factor * 10.0**power <= most:
                yield factor * 10.0**power


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
