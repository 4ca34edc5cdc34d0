"""What the tests of control planes share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from api_server import PROGRAMS, ApiServer
from cluster import namespaces
from stage import Stage
from support import paths


def pytest_configure(config: pytest.Config) -> None:
    """A terminated run unwinds its fixtures, and so ends its children in order."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


@pytest.fixture(scope="session")
def the_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage(tmp_path_factory.mktemp("stage"), paths.wasm_module()) as made:
        yield made


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("kubernetes"))
    try:
        server.define(sorted((PROGRAMS / "crds").iterdir()))
        for one in namespaces("istio-ingress", "mcp"):
            server.apply_one(one)
        yield server
    finally:
        server.stop()
