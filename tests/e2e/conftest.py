"""Fixtures of the end-to-end tests: one recorder, and one Envoy for each configuration."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import paths
from support.bootstrap import Listener
from support.envoy import Envoy
from support.ports import ReservedPort
from support.recorder import Recorder

CONCURRENCIES = (1, 2)


def pytest_configure(config: pytest.Config) -> None:
    """A terminated run unwinds its fixtures, and so ends its children in order."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


@pytest.fixture(scope="session")
def wasm() -> Path:
    return paths.wasm_module()


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    with Recorder() as running:
        yield running


@pytest.fixture(scope="session")
def refused_port() -> Iterator[int]:
    """A port on which nothing ever listens."""
    with ReservedPort() as reserved:
        yield reserved.number


@pytest.fixture(scope="session", params=CONCURRENCIES, ids=lambda number: f"workers-{number}")
def concurrency(request: pytest.FixtureRequest) -> int:
    return request.param


StartEnvoy = Callable[..., Envoy]


@pytest.fixture
def start_envoy(
    wasm: Path, recorder: Recorder, refused_port: int, tmp_path: Path
) -> Iterator[StartEnvoy]:
    """Starts Envoys with the filter for one test: `start_envoy(configuration, clusters, ...)`."""
    running: list[Envoy] = []

    def start(
        configuration: dict[str, Any] | str,
        clusters: dict[str, int] | None = None,
        *,
        listener: dict[str, Any] | None = None,
        **options: Any,
    ) -> Envoy:
        made = Envoy(
            tmp_path / f"envoy-{len(running)}",
            {"mcp": Listener(wasm=wasm, configuration=configuration, **(listener or {}))},
            {"upstream": recorder.port, "refused": refused_port, **(clusters or {})},
            **options,
        )
        running.append(made)
        return made

    yield start
    for envoy in running:
        envoy.stop()
