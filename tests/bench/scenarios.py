"""What the Envoys are loaded with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from . import minting
from .contenders import METADATA_PATH
from .load import Traffic
from .minting import ALGORITHMS

ROTATED = 10_000
"""Tokens in rotation."""

_NEW = 15_000
"""New tokens for one measurement: about as many as Envoy's own filter can take in a second."""

_WARM_UP = 3_000


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    traffic: Traffic
    contenders: tuple[str, ...]
    warm_up: Traffic
    """What goes before: it fills caches, and makes V8 compile what is used much."""
    workers: int = 1
    new_tokens: bool = False
    """No Envoy may see a token twice: every measurement gets an Envoy of its own."""
    warm_up_laps: int = 0
    own_traffic: Mapping[str, Traffic] = field(default_factory=dict)
    """Of contenders that take no tokens of the others' kind; before it goes the same."""

    def of(self, contender: str) -> Scenario:
        own = self.own_traffic.get(contender)
        return self if own is None else replace(self, traffic=own, warm_up=own)


class Tokens:
    """Token files of one run, made when they are first asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: dict[str, Path] = {}

    def one(self) -> Path:
        return self._part("one", self.rotated(), 0, 1)

    def rotated(self) -> Path:
        return self._part("rotated", self._good("RS256"), 0, ROTATED)

    def new(self, algorithm: str) -> Path:
        return self._part(f"new-{algorithm}", self._good(algorithm), _WARM_UP, None)

    def warm_up(self, algorithm: str) -> Path:
        return self._part(f"warm-up-{algorithm}", self._good(algorithm), 0, _WARM_UP)

    def opaque(self) -> Path:
        return self._once("opaque", lambda: minting.opaque(self._directory, self.one()))

    def expired(self) -> Path:
        return self._once("expired", lambda: minting.expired(self._directory))

    def forged(self) -> Path:
        return self._once("forged", lambda: minting.forged(self._directory, self.new("RS256")))

    def _good(self, algorithm: str) -> Path:
        return self._once(
            algorithm, lambda: minting.good(self._directory, algorithm, _WARM_UP + _NEW)
        )

    def _part(self, name: str, whole: Path, first: int, end: int | None) -> Path:
        def cut() -> Path:
            file = self._directory / f"{name}.txt"
            lines = whole.read_text().splitlines()[first:end]
            file.write_text("".join(f"{line}\n" for line in lines))
            return file

        return self._once(name, cut)

    def _once(self, name: str, make: Callable[[], Path]) -> Path:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def scenarios() -> Mapping[str, Callable[[Tokens], Scenario]]:
    """By name; tokens are made for those alone that are run."""
    made: dict[str, Callable[[Tokens], Scenario]] = {
        "one-token": lambda tokens: _one_token(
            tokens,
            "one-token",
            "one token, again and again",
            contenders=(
                "none",
                "native",
                "native-cached",
                "floor",
                "ours",
                "ours-opaque",
                "ours-interlock",
            ),
            own_traffic={"ours-opaque": Traffic("/mcp", tokens.opaque())},
        ),
        "rotation": _rotation,
    }
    for algorithm in ALGORITHMS:
        made[f"new-{algorithm}"] = partial(_new, algorithm=algorithm)
    made |= {
        "expired": _expired,
        "forged": _forged,
        "no-token": lambda _: _tokenless(
            "no-token",
            "no token: 401 and a challenge",
            Traffic("/mcp", refused=True),
            ("native", "ours"),
        ),
        "metadata": lambda _: _tokenless(
            "metadata", "the metadata document", Traffic(METADATA_PATH), ("none", "ours")
        ),
        "foreign": lambda _: _tokenless(
            "foreign",
            "a path of no resource",
            Traffic("/health"),
            ("none", "native-cached", "floor-foreign", "ours", "ours-interlock"),
        ),
    }
    for headers in (30, 100):
        made[f"headers-{headers}"] = partial(
            _one_token,
            name=f"headers-{headers}",
            title=f"one token, {headers} request headers",
            headers=headers,
        )
    for workers in (2, 4):
        made[f"one-token-{workers}-workers"] = partial(
            _one_token,
            name=f"one-token-{workers}-workers",
            title=f"one token, {workers} workers",
            workers=workers,
        )
        made[f"new-RS256-{workers}-workers"] = partial(_new, algorithm="RS256", workers=workers)
    return made


def _one_token(
    tokens: Tokens,
    name: str,
    title: str,
    *,
    contenders: tuple[str, ...] = ("none", "native-cached", "ours"),
    headers: int = 10,
    workers: int = 1,
    own_traffic: Mapping[str, Traffic] | None = None,
) -> Scenario:
    traffic = Traffic("/mcp", tokens.one(), headers=headers)
    return Scenario(
        name,
        title,
        traffic,
        contenders,
        traffic,
        workers=workers,
        own_traffic=own_traffic or {},
    )


def _rotation(tokens: Tokens) -> Scenario:
    traffic = Traffic("/mcp", tokens.rotated())
    return Scenario(
        "rotation",
        f"{ROTATED:,} tokens in rotation",
        traffic,
        ("none", "native", "native-cached", "floor", "ours"),
        traffic,
        warm_up_laps=1,
    )


def _new(tokens: Tokens, algorithm: str, workers: int = 1) -> Scenario:
    name, title = f"new-{algorithm}", f"every token new, {algorithm}"
    contenders: tuple[str, ...] = ("native", "native-cached", "ours")
    if workers > 1:
        name, title = f"{name}-{workers}-workers", f"{title}, {workers} workers"
        contenders = ("native", "ours")
    return Scenario(
        name,
        title,
        Traffic("/mcp", tokens.new(algorithm)),
        contenders,
        Traffic("/mcp", tokens.warm_up(algorithm)),
        workers=workers,
        new_tokens=True,
        warm_up_laps=1,
    )


def _expired(tokens: Tokens) -> Scenario:
    traffic = Traffic("/mcp", tokens.expired(), refused=True)
    return Scenario(
        "expired",
        "an expired token",
        traffic,
        ("native", "native-cached", "ours"),
        traffic,
    )


def _forged(tokens: Tokens) -> Scenario:
    # No two of them are alike within a measurement; the next one may send them again, for
    # a refused token is in nobody's cache.
    traffic = Traffic("/mcp", tokens.forged(), refused=True)
    return Scenario(
        "forged",
        "forged tokens, RS256",
        traffic,
        ("native", "native-cached", "ours"),
        Traffic("/mcp", tokens.one()),
    )


def _tokenless(name: str, title: str, traffic: Traffic, contenders: tuple[str, ...]) -> Scenario:
    return Scenario(name, title, traffic, contenders, traffic)
