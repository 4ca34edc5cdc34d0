"""Without the filter's own mark no request reaches the upstream, whatever became of the filter."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import cases, http1, tokens
from support.bootstrap import Json, Listener, http_filters
from support.envoy import Envoy
from support.recorder import Recorder, new_test_id

GOOD = tokens.mint(
    defaults={
        "iss": "https://auth.example.com",
        "aud": "https://mcp.example.com/mcp",
        "scope": "mcp:read",
        "exp": {"$now": 3600},
    }
)


def start(directory: Path, listener: Listener, recorder: Recorder) -> Envoy:
    return Envoy(directory, {"mcp": listener}, {"upstream": recorder.port})


def test_a_filter_that_fails_open_is_caught(recorder: Recorder, tmp_path: Path) -> None:
    """A module that cannot even be loaded, told to fail open: the interlock still holds."""
    broken = tmp_path / "broken.wasm"
    broken.write_bytes(b"\0asm\1\0\0\0")
    listener = Listener(wasm=broken, configuration={}, failure_policy="FAIL_OPEN")
    try:
        envoy = start(tmp_path / "envoy", listener, recorder)
    except Exception:
        return  # Envoy did not start at all: nothing can get through
    with envoy:
        test_id = new_test_id()
        assert http1.get(envoy.port, "/mcp", GOOD, [("x-test-id", test_id)]).status >= 400
        assert not recorder.seen(test_id)


@pytest.mark.parametrize("path", ["/mcp", "/health"])
def test_a_filter_that_is_switched_off_is_caught(
    path: str, wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """The filter is in the chain but disabled, as a route or a mistake can do it."""
    listener = Listener(
        wasm=wasm, configuration=cases.config("one").filter, manager=_disabled(wasm)
    )
    with start(tmp_path, listener, recorder) as envoy:
        test_id = new_test_id()
        assert http1.get(envoy.port, path, GOOD, [("x-test-id", test_id)]).status == 403
        assert not recorder.seen(test_id)


def test_a_client_cannot_set_the_mark(wasm: Path, recorder: Recorder, tmp_path: Path) -> None:
    listener = Listener(
        wasm=wasm, configuration=cases.config("one").filter, manager=_disabled(wasm)
    )
    with start(tmp_path, listener, recorder) as envoy:
        headers = [("wasm.mcp_auth", "allow"), ("mcp_auth", "allow"), ("x-mcp-auth", "allow")]
        assert http1.get(envoy.port, "/mcp", GOOD, headers).status == 403


def _disabled(wasm: Path) -> Json:
    filters = http_filters(Listener(wasm=wasm, configuration=cases.config("one").filter))
    filters[0]["disabled"] = True
    return {"http_filters": filters}
