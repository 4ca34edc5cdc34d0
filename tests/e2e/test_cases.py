"""The decision table: every case of tests/cases through a real Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import cases, http1
from support.bootstrap import Listener
from support.cases import Case
from support.envoy import Envoy
from support.recorder import Recorder, new_test_id


class Envoys:
    """One Envoy per configuration, started when a case first needs it."""

    def __init__(
        self, directory: Path, wasm: Path, recorder: Recorder, refused_port: int, concurrency: int
    ) -> None:
        self._directory = directory
        self._wasm = wasm
        self._recorder = recorder
        self._refused_port = refused_port
        self._concurrency = concurrency
        self._running: dict[str, Envoy] = {}

    def get(self, name: str) -> Envoy:
        if name not in self._running:
            config = cases.config(name)
            clusters = {"upstream": self._recorder.port}
            clusters |= {cluster: self._refused_port for cluster in config.clusters}
            self._running[name] = Envoy(
                self._directory / name,
                {"mcp": self._listener(config.filter)},
                clusters,
                concurrency=self._concurrency,
            )
        return self._running[name]

    def _listener(self, configuration: Any) -> Listener:
        """One worker leaves signatures to the host, two do them in the module: both are tested."""
        environment = {"MCP_AUTH_SIGNATURES": "portable"} if self._concurrency > 1 else {}
        return Listener(wasm=self._wasm, configuration=configuration, environment=environment)

    def stop(self) -> None:
        for envoy in self._running.values():
            envoy.stop()


@pytest.fixture(scope="session")
def envoys(
    wasm: Path,
    recorder: Recorder,
    refused_port: int,
    concurrency: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Envoys]:
    directory = tmp_path_factory.mktemp("envoys")
    running = Envoys(directory, wasm, recorder, refused_port, concurrency)
    yield running
    running.stop()


@pytest.mark.parametrize("case", cases.load(), ids=lambda case: case.id)
def test_case(case: Case, envoys: Envoys, recorder: Recorder) -> None:
    envoy = envoys.get(case.config)
    test_id = new_test_id()
    token = case.token()
    request = case.request
    response = http1.request(
        envoy.port,
        request.get("method", "GET"),
        request["path"].replace("${token}", token),
        [("x-test-id", test_id)]
        + [(name, value.replace("${token}", token)) for name, value in request.get("headers", [])],
        request.get("body", "").encode(),
        host=request.get("host", case.host),
    )
    # The access log is written when the request is over: nothing can reach the upstream after it.
    logged = envoy.logged(test_id)
    cases.check_response(case, response)
    cases.check_upstream(case, recorder.seen(test_id))
    cases.check_mark(case, logged)
    cases.check_log(token, envoy.log())


def test_every_reason_that_data_can_cause_has_a_case() -> None:
    """The others need time or load, and have tests of their own."""
    elsewhere = {
        "path_missing",
        "host_invalid",
        "keys_stale",
        "key_pending",
        "operation_not_allowed",
        "body_too_large",
        "body_encoded",
        "body_unexpected",
        "body_timeout",
        "body_malformed",
        "header_mismatch",
        "too_many_keys",
        "too_many_waiting",
        "no_room_for_body",
        "token_inactive",
        "introspection_unavailable",
        "internal",
    }
    covered = {case.expect["reason"] for case in cases.load() if "reason" in case.expect}
    assert covered | elsewhere >= set(cases.reasons())
