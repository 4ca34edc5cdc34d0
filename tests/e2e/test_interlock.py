"""Without the filter's own mark no request reaches the upstream, whatever became of the filter."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from support import cases, http1, http2, tokens
from support.bootstrap import Json, Listener, http_filters
from support.envoy import Envoy
from support.recorder import Recorder, new_test_id
from support.threaded import Threaded

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


PREFLIGHT = [("origin", "https://app.example"), ("access-control-request-method", "POST")]


def test_a_preflight_carries_nothing_past_it(
    wasm: Path, recorder: Recorder, tmp_path: Path
) -> None:
    """Where the server does its own CORS, preflights pass without a token: those that only ask."""
    listener = Listener(
        wasm=wasm,
        configuration=cases.config("cors-left").filter,
        marks=("allow", "preflight"),
        holds_headers=True,
    )

    def chunked(test_id: str, body: bytes) -> int:
        headers = [*PREFLIGHT, ("x-test-id", test_id), ("transfer-encoding", "chunked")]
        sent = http1.encode("OPTIONS", "/mcp", headers, host="mcp.example.com") + body
        return http1.exchange(envoy.port, sent, "OPTIONS").status

    def over_http2(test_id: str, body: bytes) -> int:
        headers = [
            (b":method", b"OPTIONS"),
            (b":scheme", b"http"),
            (b":authority", b"mcp.example.com"),
            (b":path", b"/mcp"),
            *((name.encode(), value.encode()) for name, value in PREFLIGHT),
            (b"x-test-id", test_id.encode()),
        ]
        return http2.request(envoy.port, headers, body).status

    with start(tmp_path, listener, recorder) as envoy:
        test_id = new_test_id()
        assert http1.request(
            envoy.port, "OPTIONS", "/mcp", [*PREFLIGHT, ("x-test-id", test_id)]
        ).status == 200  # fmt: skip
        assert recorder.one(test_id).body == b""
        assert over_http2(test_id := new_test_id(), b"") == 200
        assert recorder.one(test_id).body == b""

        call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}'
        for send, bodies in (
            (chunked, [b"%x\r\n%s\r\n0\r\n\r\n" % (len(call), call), b"0\r\n\r\n", b""]),
            (over_http2, [call]),
        ):
            for body in bodies:
                assert send(test_id := new_test_id(), body) == 401, (send, body)
                assert not recorder.seen(test_id)
        # Not marked as one that may pass either.
        assert http1.request(envoy.port, "OPTIONS", "/health", PREFLIGHT).status == 403


@pytest.mark.parametrize(
    ("asked", "token", "status", "seen"),
    [
        ("/health", None, 401, ["/health"]),
        ("/health", GOOD, 200, ["/health", "/mcp/here"]),
        # The token does not go to the server, so it is not there when the redirect comes back.
        ("/mcp", GOOD, 401, ["/mcp"]),
    ],
)
def test_a_redirect_that_envoy_follows_is_judged_anew(
    asked: str, token: str | None, status: int, seen: list[str], wasm: Path, tmp_path: Path
) -> None:
    """Envoy runs the filters again for it (`internal_redirect_policy`)."""
    reached: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)
            self.send_response(200 if self.path == "/mcp/here" else 302)
            self.send_header("location", "http://mcp.example.com/mcp/here")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    route = {"cluster": "upstream", "internal_redirect_policy": {"max_internal_redirects": 3}}
    host = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
    listener = Listener(
        wasm=wasm,
        configuration=cases.config("one").filter,
        manager={"route_config": {"name": "local", "virtual_hosts": [host]}},
    )
    with (
        Threaded(Handler) as server,
        Envoy(tmp_path, {"mcp": listener}, {"upstream": server.port}) as envoy,
    ):
        assert http1.get(envoy.port, asked, token).status == status
    assert reached == seen


def _disabled(wasm: Path) -> Json:
    filters = http_filters(Listener(wasm=wasm, configuration=cases.config("one").filter))
    filters[0]["disabled"] = True
    return {"http_filters": filters}
