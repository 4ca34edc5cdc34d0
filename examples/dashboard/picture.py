"""Panels of a Grafana dashboard as SVG: time series, stacked ones, single values, rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from itertools import pairwise

from support.dashboard import Panel

Series = tuple[str, list[tuple[float, float]]]
"""A legend, and pairs of seconds and value."""
Layer = tuple[str, list[tuple[float, float]], dict[float, float] | None]
"""A legend, the upper edge, and what is under it where series are stacked."""
Data = dict[str, list[Series]]

_WIDTH, _UNIT, _MARGIN, _GAP, _HEAD = 1200, 34, 14, 8, 62
_COLUMN = (_WIDTH - 2 * _MARGIN + _GAP) / 24
_CHARACTER = 6.9  # at 12 px, on average
_INK, _FAINT, _LINE = "#22262e", "#5b616c", "#e6e8ec"
# Grafana's palette, in its order, and its names for colours.
_PALETTE = [
    "#7EB26D", "#EAB839", "#6ED0E0", "#EF843C", "#E24D42", "#1F78C1", "#BA43A9", "#705DA0",
    "#508642", "#CCA300", "#447EBC", "#C15C17",
]  # fmt: skip
_NAMED = {
    "green": "#56A64B", "red": "#E02F44", "orange": "#FF780A", "blue": "#3274D9",
    "purple": "#A352CC", "transparent": "none",
}  # fmt: skip
_UNITS = {"reqps": " req/s", "s": " s", "ms": " ms", "short": "", "bytes": " B"}


def draw(panels: list[Panel], data: Data, seconds: float, title: str) -> str:
    height = _HEAD + _UNIT * max(one.grid["y"] + one.grid["h"] for one in panels) + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" font-family="Helvetica, Arial, sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#f4f5f5"/>',
        _text(_MARGIN, 26, "MCP authorization filter", _INK, size=18, weight="bold"),
        _text(
            _MARGIN,
            46,
            f"{title}. Drawn from the dashboard's own queries, not by Grafana.",
            _FAINT,
        ),
    ]
    for panel in panels:
        lines += _panel(panel, data.get(panel.title, []), seconds)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(panel: Panel, series: list[Series], seconds: float) -> Iterator[str]:
    grid = panel.grid
    left, top = _MARGIN + grid["x"] * _COLUMN, _HEAD + grid["y"] * _UNIT
    width, height = grid["w"] * _COLUMN - _GAP, grid["h"] * _UNIT - _GAP
    yield f'<g transform="translate({left:.1f} {top:.1f})">'
    if panel.kind == "row":
        yield _text(2, 19, panel.title, _INK, size=14, weight="bold")
    else:
        yield f'<rect width="{width:.1f}" height="{height}" rx="2" fill="#ffffff" stroke="{_LINE}"/>'
        yield _text(10, 19, panel.title, _INK, size=13, weight="bold")
        body = _stat if panel.kind == "stat" else _graph
        yield from body(panel, series, seconds, width, height)
    yield "</g>"


def _stat(
    panel: Panel, series: list[Series], seconds: float, width: float, height: float
) -> Iterator[str]:
    if not series:
        yield _text(width / 2, height / 2 + 12, "No data", _FAINT, size=16, anchor="middle")
        return
    _, points = series[0]
    defaults = panel.json["fieldConfig"]["defaults"]
    last = points[-1][1]
    colour = _step(defaults["thresholds"]["steps"], last)
    most = max(value for _, value in points) or 1
    bottom = height - 2

    def place(at: float, value: float) -> str:
        return f"{2 + at / seconds * (width - 4):.1f} {bottom - value / most * 34:.1f}"

    line = " ".join(place(*point) for point in points)
    first, end = (2 + points[at][0] / seconds * (width - 4) for at in (0, -1))
    yield (
        f'<path d="M{first:.1f} {bottom} L{line} L{end:.1f} {bottom}Z" fill="{colour}" '
        'fill-opacity="0.18"/>'
    )
    yield f'<path d="M{line}" fill="none" stroke="{colour}"/>'
    shown = _number(last, defaults["unit"], defaults.get("decimals"))
    yield _text(width / 2, height / 2 + 16, shown, colour, size=28, weight="bold", anchor="middle")


def _graph(
    panel: Panel, series: list[Series], seconds: float, width: float, height: float
) -> Iterator[str]:
    defaults = panel.json["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    colours = _colours(panel, series)
    legend = _legend(series, colours, width)
    left, right, top = 66.0, width - 14, 34.0
    bottom = height - 24 - 16 * len(legend)
    layers: list[Layer] = (
        _stack(series) if stacked else [(name, points, None) for name, points in series]
    )
    most = max((value for _, points, _ in layers for _, value in points), default=0.0)
    logarithmic = defaults["custom"]["scaleDistribution"]["type"] == "log"
    whole = defaults.get("decimals") == 0
    ticks = _powers(layers) if logarithmic else _ticks(most, whole=whole)

    def x(at: float) -> float:
        return left + at / seconds * (right - left)

    def y(value: float) -> float:
        if logarithmic:
            share = math.log(max(value, ticks[0]) / ticks[0]) / math.log(ticks[-1] / ticks[0])
        else:
            share = value / ticks[-1]
        return bottom - share * (bottom - top)

    for value in ticks:
        yield _rule(left, right, y(value), y(value))
        shown = _number(value, defaults["unit"], None)
        yield _text(left - 6, y(value) + 4, shown, _FAINT, anchor="end")
    for at in range(0, int(seconds) + 1, 60):
        yield _rule(x(at), x(at), top, bottom)
        yield _text(x(at), bottom + 15, f"{at // 60}:{at % 60:02}", _FAINT, anchor="middle")
    if not series:
        yield _text(width / 2, (top + bottom) / 2, "No data", _FAINT, size=14, anchor="middle")
    for (name, points, under), colour in zip(layers, colours, strict=True):
        for run in _runs(points):
            line = " ".join(f"{x(at):.1f} {y(value):.1f}" for at, value in run)
            if under is not None:
                back = " ".join(f"{x(at):.1f} {y(under[at]):.1f}" for at, _ in reversed(run))
                yield f'<path d="M{line} L{back}Z" fill="{colour}" fill-opacity="0.35"/>'
            yield (
                f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="1.4">'
                f"<title>{escape(name)}</title></path>"
            )
    for number, row in enumerate(legend):
        at = 10.0
        for name, colour in row:
            base = bottom + 34 + 16 * number
            yield (
                f'<rect x="{at:.1f}" y="{base - 5}" width="12" height="3" rx="1" fill="{colour}"/>'
            )
            yield _text(round(at + 17, 1), base, name, _INK)
            at += _legend_width(name)


def _stack(series: list[Series]) -> list[Layer]:
    """Each series on top of those before it."""
    times = sorted({at for _, points in series for at, _ in points})
    base = dict.fromkeys(times, 0.0)
    layers: list[Layer] = []
    for name, points in series:
        values = dict(points)
        over = {at: base[at] + values.get(at, 0.0) for at in times}
        layers.append((name, list(over.items()), base))
        base = over
    return layers


def _runs(points: list[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """Cut where values are missing."""
    step = min((b - a for (a, _), (b, _) in pairwise(points)), default=1.0)
    run = points[:1]
    for before, point in pairwise(points):
        if point[0] - before[0] > 1.5 * step:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _colours(panel: Panel, series: list[Series]) -> list[str]:
    fixed = {
        one["matcher"]["options"]: _NAMED[one["properties"][0]["value"]["fixedColor"]]
        for one in panel.json["fieldConfig"]["overrides"]
    }
    return [fixed.get(name, _PALETTE[at % len(_PALETTE)]) for at, (name, _) in enumerate(series)]


def _legend_width(name: str) -> float:
    return 32 + _CHARACTER * len(name)


def _legend(series: list[Series], colours: list[str], width: float) -> list[list[tuple[str, str]]]:
    rows: list[list[tuple[str, str]]] = [[]]
    used = 10.0
    for (name, _), colour in zip(series, colours, strict=True):
        name = name or "(none)"
        if rows[-1] and used + _legend_width(name) > width:
            rows.append([])
            used = 10.0
        rows[-1].append((name, colour))
        used += _legend_width(name)
    return rows


def _ticks(most: float, *, whole: bool) -> list[float]:
    """From 0 to at least `most`, in steps of 1, 2 or 5 times a power of ten."""
    if most == 0:
        return [0, 1]
    rough = max(most / 4, 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    count = max(1, math.ceil(round(most / step, 6)))
    return [round(step * at, 6) for at in range(count + 1)]


def _powers(layers: list[Layer]) -> list[float]:
    """Powers of ten around all values."""
    values = [value for _, points, _ in layers for _, value in points if value > 0] or [1]
    least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**power for power in range(least, max(most, least + 1) + 1)]


def _step(steps: list[dict[str, object]], value: float) -> str:
    reached = [one for one in steps if one["value"] is None or value >= float(str(one["value"]))]
    return _NAMED[str(reached[-1]["color"])]


def _number(value: float, unit: str, decimals: int | None) -> str:
    if unit == "percentunit":
        return f"{100 * value:.{decimals or 0}f} %"
    if unit == "ms" and value >= 1000:
        value, unit = value / 1000, "s"
    shown = f"{value:.{decimals}f}" if decimals is not None else f"{value:.3g}"
    return shown + _UNITS[unit]


def _rule(x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" stroke="{_LINE}"/>'


def _text(
    x: float,
    y: float,
    text: str,
    colour: str,
    *,
    size: int = 12,
    weight: str = "normal",
    anchor: str = "start",
) -> str:
    more = "" if size == 12 else f' font-size="{size}"'
    more += "" if weight == "normal" else f' font-weight="{weight}"'
    more += "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}"{more}>{escape(text)}</text>'
