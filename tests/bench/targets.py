"""What the filter is meant to cost at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support.bootstrap import Json

from .figures import Figure, each_round, figure, ratio, values

MODULE_BYTES = 450_000
WORKER_BYTES = 2 * 2**20

# How far from jwt_authn's a scaling is still called the same.
_SAME_SCALING = 0.9


@dataclass(frozen=True)
class Target:
    what: str
    wanted: str
    found: Figure | None
    form: Callable[[float], str]
    holds: Callable[[float], bool]

    @property
    def verdict(self) -> str:
        if self.found is None:
            return "not measured"
        return "yes" if self.holds(self.found.median) else "**no**"


def targets(results: Json) -> list[Target]:
    module = float(results["machine"]["module_bytes"])
    return [
        _at_most(
            "CPU per request, cached token, to jwt_authn with its cache",
            1.25,
            _to(results, "one-token", "native-cached"),
        ),
        Target(
            "CPU that a cached token adds to no filter, to what jwt_authn without cache adds",
            "≤ ⅓",
            each_round(
                lambda ours, native, none: (ours - none) / (native - none),
                *(values(results, "one-token", one) for one in ("ours", "native", "none")),
            ),
            two_places,
            lambda found: found <= 1 / 3,
        ),
        _at_most(
            "CPU per request, new RS256 token, to jwt_authn",
            1.1,
            _to(results, "new-RS256", "native"),
        ),
        _at_most(
            "CPU per request, new ES256 token, to jwt_authn",
            1.1,
            _to(results, "new-ES256", "native"),
        ),
        _at_most(
            "CPU per request, new EdDSA token, to jwt_authn",
            2.5,
            _to(results, "new-EdDSA", "native"),
        ),
        _at_most(
            "CPU per request, path of no resource, to no filter",
            1.2,
            _to(results, "foreign", "none"),
        ),
        Target(
            "throughput of new RS256 tokens, four workers to one, to the same of jwt_authn",
            f"as jwt_authn (≥ {_SAME_SCALING})",
            each_round(
                lambda ours, ours_one, native, native_one: ours / ours_one / (native / native_one),
                *(
                    values(results, scenario, one, "requests_per_second")
                    for one in ("ours", "native")
                    for scenario in ("new-RS256-4-workers", "new-RS256")
                ),
            ),
            two_places,
            lambda found: found >= _SAME_SCALING,
        ),
        Target(
            "size of the module",
            "≤ 450 KB",
            figure([module]),
            lambda found: f"{found / 1000:.0f} KB",
            lambda found: found <= MODULE_BYTES,
        ),
        Target(
            "memory that the filter adds with each further worker",
            "≤ 2 MiB",
            memory_per_worker(results),
            mebibytes,
            lambda found: found <= WORKER_BYTES,
        ),
    ]


def memory_per_worker(results: Json, contender: str = "ours") -> Figure | None:
    """From one worker to the most that were started, beyond what these cost without a filter."""
    workers = sorted({one["workers"] for one in results.get("starts", [])})
    if len(workers) < 2:
        return None
    fewest, most = workers[0], workers[-1]
    return each_round(
        lambda a, b, c, d: ((a - b) - (c - d)) / (most - fewest),
        resident(results, contender, most),
        resident(results, contender, fewest),
        resident(results, "none", most),
        resident(results, "none", fewest),
    )


def resident(
    results: Json, contender: str, workers: int, member: str = "resident_bytes"
) -> list[float]:
    return [
        one[member]
        for one in sorted(results.get("starts", []), key=lambda one: one["round"])
        if (one["contender"], one["workers"]) == (contender, workers)
    ]


def _at_most(what: str, limit: float, found: Figure | None) -> Target:
    return Target(what, f"≤ {limit:g}", found, two_places, lambda one: one <= limit)


def _to(results: Json, scenario: str, contender: str) -> Figure | None:
    return each_round(
        ratio, values(results, scenario, "ours"), values(results, scenario, contender)
    )


def two_places(value: float) -> str:
    return f"{value:.2f}"


def mebibytes(value: float) -> str:
    return f"{value / 2**20:.1f} MiB"
