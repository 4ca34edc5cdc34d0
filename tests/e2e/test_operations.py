"""Scopes for single operations: what a body asks for, whatever its headers say of it."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import cases, http1, tokens
from support.bootstrap import Listener
from support.challenges import parse_challenge
from support.envoy import Envoy
from support.http1 import Response
from support.key_server import KeyServer
from support.recorder import Recorder, new_test_id
from support.waiting import until

ISSUER = "https://auth.example.com"
RESOURCE = "https://mcp.example.com/mcp"
METADATA = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
MODERN = ("mcp-protocol-version", "2026-07-28")
LEGACY = ("mcp-protocol-version", "2025-11-25")
BODY_BYTES = 65536

FILTER: dict[str, Any] = {
    "issuers": [{"issuer": ISSUER, "jwks": tokens.jwks(["ec-1"])}],
    "resources": [
        {
            "resource": RESOURCE,
            "scopes": ["mcp:read"],
            "scope_hierarchy": {"mcp:admin": ["mcp:write"]},
            "operations": [
                {"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]},
                {"method": "tools/call", "name": "write", "scopes": ["mcp:write"]},
                {"method": "resources/read", "name": "file:///secret/*", "scopes": ["mcp:admin"]},
                {"method": "tools/call", "name": "shell", "deny": True},
                {"method": "resources/read", "name": "https://api.example/secret/*", "deny": True},
            ],
        }
    ],
    "limits": {"body_bytes": BODY_BYTES},
}


def token(scope: str = "mcp:read") -> str:
    claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "scope": scope, "exp": {"$now": 3600}}
    return tokens.mint({"key": "ec-1"}, claims)


READ, ADMIN = token(), token("mcp:read mcp:admin")


@pytest.fixture(scope="module", params=[True, False], ids=["headers-held", "headers-not-held"])
def envoy(
    request: pytest.FixtureRequest,
    wasm: Path,
    recorder: Recorder,
    concurrency: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Envoy]:
    listener = Listener(wasm=wasm, configuration=FILTER, holds_headers=request.param)
    directory = tmp_path_factory.mktemp("operations")
    with Envoy(
        directory, {"mcp": listener}, {"upstream": recorder.port}, concurrency=concurrency
    ) as running:
        yield running


def rpc(method: str, params: Any = None, **members: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, **members}
    if params is not None:
        message["params"] = params
    return json.dumps(message).encode()


def call(tool: str) -> bytes:
    return rpc("tools/call", {"name": tool, "arguments": {}})


def post(
    envoy: Envoy,
    body: bytes,
    *headers: tuple[str, str],
    bearer: str = READ,
    test_id: str = "",
    method: str = "POST",
) -> Response:
    sent = [("authorization", f"Bearer {bearer}"), ("x-test-id", test_id or new_test_id())]
    sent += [("content-type", "application/json"), *headers]
    return http1.request(envoy.port, method, "/mcp", sent, body)


def refused(response: Response, reason: str) -> None:
    expected = cases.reasons()[reason]
    assert response.status == expected["status"], response
    assert response.json() == {
        "error": expected["error"],
        "error_description": expected["description"],
    }


def test_a_name_that_ends_early_for_some_servers_is_refused(
    envoy: Envoy, recorder: Recorder
) -> None:
    """Strings of C end at a NUL; to some readers `na_me` is `name`."""
    for body in (
        call("shell\0"),
        call("shell\0.txt"),
        call("delete_\0all"),
        rpc("resources/read", {"uri": "file:///secret/b\0"}),
        rpc("tools/call\0", {"name": "shell"}),
        rpc("tools/call", {"name": "echo", "name\0": "shell"}),
        rpc("tools/call", {"name": "echo", "na_me": "shell"}),
    ):
        test_id = new_test_id()
        refused(post(envoy, body, test_id=test_id), "body_malformed")
        assert not recorder.seen(test_id)


def test_what_no_rule_concerns_passes_whole(envoy: Envoy, recorder: Recorder) -> None:
    for body in (call("echo"), rpc("tools/list"), rpc("initialize", {}), call("undelete_")):
        test_id = new_test_id()
        assert post(envoy, body, test_id=test_id).status == 200
        seen = recorder.one(test_id)
        assert seen.body == body
        assert seen.header("authorization") is None
        assert seen.header("x-mcp-sub") == "alice"
        assert envoy.logged(test_id)["mark"] == "allow"


def test_a_missing_scope_is_one_challenge_with_all_that_is_needed(
    envoy: Envoy, recorder: Recorder
) -> None:
    for body, needed in (
        (call("delete_all"), "mcp:read mcp:admin"),
        (call("write"), "mcp:read mcp:write"),
        (rpc("resources/read", {"uri": "file:/%73ecret/a"}), "mcp:read mcp:admin"),
        (b"[" + call("echo") + b"," + call("delete_x") + b"]", "mcp:read mcp:admin"),
    ):
        test_id = new_test_id()
        response = post(envoy, body, test_id=test_id)
        refused(response, "scope_insufficient")
        [line] = response.all("www-authenticate")
        assert parse_challenge(line) == (
            "Bearer",
            {
                "error": "insufficient_scope",
                "scope": needed,
                "resource_metadata": METADATA,
                "error_description": cases.reasons()["scope_insufficient"]["description"],
            },
        )
        assert envoy.logged(test_id)["reason"] == "scope_insufficient"
        assert not recorder.seen(test_id)
        assert post(envoy, body, bearer=ADMIN).status == 200


def denied(response: Response, said: str, request_id: Any = 1) -> None:
    assert response.status == 200, response
    assert response.header("content-type") == "application/json"
    error = response.json()
    assert (error["jsonrpc"], error["id"]) == ("2.0", request_id)
    assert error["error"]["code"] == -32003
    assert said in error["error"]["message"]


def test_a_denied_operation_is_nobodys(envoy: Envoy, recorder: Recorder) -> None:
    for request_id in (1, "seven", -3):
        test_id = new_test_id()
        body = rpc("tools/call", {"name": "shell"}, id=request_id)
        response = post(envoy, body, ("origin", "https://a.example"), bearer=ADMIN, test_id=test_id)
        denied(response, "shell", request_id)
        assert response.header("www-authenticate") is None
        assert response.header("access-control-allow-origin") == "*"
        assert envoy.logged(test_id)["reason"] == "operation_not_allowed"
        assert not recorder.seen(test_id)


def test_what_is_denied_and_cannot_be_answered_is_403(envoy: Envoy, recorder: Recorder) -> None:
    notification = json.dumps({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "shell"}})
    for body in (b"[" + call("shell") + b"]", notification.encode()):
        test_id = new_test_id()
        refused(post(envoy, body, bearer=ADMIN, test_id=test_id), "operation_not_allowed")
        assert not recorder.seen(test_id)


def test_a_denied_resource_is_nobodys_however_it_is_spelt(
    envoy: Envoy, recorder: Recorder
) -> None:
    for uri in (
        "https://api.example/secret/b",
        " https://api.example/secret/b",
        "https:api.example/secret/b",
        "https://api.example:443/secret/b",
        "https://API.example/%73ecret/b",
        "https://ap\ti.example/x/../secret/b",
        "https://user@api.example/secret/b",
    ):
        test_id = new_test_id()
        body = rpc("resources/read", {"uri": uri})
        denied(post(envoy, body, bearer=ADMIN, test_id=test_id), "resources/read")
        assert not recorder.seen(test_id)
    for uri in ("https://api.example/open/b", "memo://secret/b"):
        assert post(envoy, rpc("resources/read", {"uri": uri})).status == 200


def test_arguments_are_not_looked_at(envoy: Envoy, recorder: Recorder) -> None:
    for arguments in (rb'{"a":"\ud800"}', b'{"a":1e400}', b'{"a":"\xef\xbb\xbf","a":1}'):
        test_id = new_test_id()
        body = call("echo").replace(b"{}", arguments)
        assert post(envoy, body, test_id=test_id).status == 200
        assert recorder.one(test_id).body == body
    for method in ("resources/subscribe", "resources/unsubscribe"):
        assert post(envoy, rpc(method, {})).status == 200


def test_the_first_challenge_names_what_the_headers_say_is_needed(envoy: Envoy) -> None:
    headers = [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "delete_all")]
    response = http1.request(envoy.port, "POST", "/mcp", headers, call("delete_all"))
    assert response.status == 401
    assert response.json()["error"] == "unauthorized"
    challenge = parse_challenge(response.header("www-authenticate"))[1]
    assert challenge["scope"] == "mcp:read mcp:admin"
    assert "error" not in challenge


def test_an_unknown_tool_is_the_servers_to_answer(envoy: Envoy) -> None:
    assert post(envoy, call("no-such-tool")).status == 200


DELETE = call("delete_all")
DISAGREEMENTS: list[tuple[str, bytes, list[tuple[str, str]]]] = [
    ("method: another", DELETE, [MODERN, ("mcp-method", "tools/list")]),
    ("method: other case", DELETE, [MODERN, ("mcp-method", "Tools/Call"), ("mcp-name", "delete_all")]),
    ("method: missing", DELETE, [MODERN, ("mcp-name", "delete_all")]),
    ("method: empty", DELETE, [MODERN, ("mcp-method", ""), ("mcp-name", "delete_all")]),
    ("method: repeated", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-method", "tools/call"), ("mcp-name", "delete_all")]),
    ("method: repeated, the second right", DELETE, [MODERN, ("mcp-method", "tools/list"), ("mcp-method", "tools/call"), ("mcp-name", "delete_all")]),
    ("name: another", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "echo")]),
    ("name: other case", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "DELETE_ALL")]),
    ("name: missing", DELETE, [MODERN, ("mcp-method", "tools/call")]),
    ("name: empty", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "")]),
    ("name: repeated", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "echo"), ("mcp-name", "delete_all")]),
    ("name: joined", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "echo, delete_all")]),
    ("name: base64 of another", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?ZWNobw==?=")]),
    ("name: base64 that is none", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?!?=")]),
    ("name: base64 unpadded", DELETE, [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?ZWNobw?=")]),
    ("version: repeated", DELETE, [MODERN, LEGACY, ("mcp-method", "tools/call"), ("mcp-name", "delete_all")]),
    ("version: another in the body", rpc("x", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}}), [MODERN, ("mcp-method", "x")]),
    ("version: in the body alone", rpc("x", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}), [("mcp-method", "x")]),
    ("a batch", b"[" + DELETE + b"]", [MODERN, ("mcp-method", "tools/call"), ("mcp-name", "delete_all")]),
    ("a later revision", DELETE, [("mcp-protocol-version", "2030-01-01"), ("mcp-method", "tools/list")]),
    ("a notification", json.dumps({"jsonrpc": "2.0", "method": "a"}).encode(), [MODERN, ("mcp-method", "b")]),
    ("a response", json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode(), [MODERN, ("mcp-method", "tools/list")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "headers"),
    [(body, headers) for _, body, headers in DISAGREEMENTS],
    ids=[name for name, _, _ in DISAGREEMENTS],
)
def test_headers_and_body_that_disagree_are_an_error_of_json_rpc(
    body: bytes, headers: list[tuple[str, str]], envoy: Envoy, recorder: Recorder
) -> None:
    """Even for a token with every scope: one of the two readers of this request is misled."""
    test_id = new_test_id()
    response = post(envoy, body, *headers, bearer=ADMIN, test_id=test_id)
    assert response.status == 400
    error = response.json()
    assert error["jsonrpc"] == "2.0"
    assert error["error"]["code"] == -32020
    parsed = json.loads(body)
    assert error["id"] == (parsed.get("id") if "method" in parsed else None) if isinstance(parsed, dict) else True
    assert envoy.logged(test_id)["reason"] == "header_mismatch"
    assert not recorder.seen(test_id)


def test_headers_and_body_that_agree(envoy: Envoy) -> None:
    headers = [MODERN, ("mcp-method", "tools/call")]
    for name in ("delete_all", "=?base64?ZGVsZXRlX2FsbA==?="):
        named = [*headers, ("mcp-name", name)]
        assert post(envoy, DELETE, *named, bearer=ADMIN).status == 200
        refused(post(envoy, DELETE, *named), "scope_insufficient")


def test_headers_of_an_older_request_mean_nothing(envoy: Envoy) -> None:
    for version in ([], [LEGACY]):
        headers = [*version, ("mcp-method", "tools/list"), ("mcp-name", "echo")]
        refused(post(envoy, DELETE, *headers), "scope_insufficient")
        assert post(envoy, call("echo"), *headers).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"{}",
        DELETE[:-1],
        DELETE + b" {}",
        DELETE.replace(b'"method"', b'"method":"tools/list","method"'),
        DELETE.replace(b'"method"', b'"method":"tools/list","Method"'),
        DELETE.replace(b'"name"', b'"name":"echo","name"'),
        b"\x1f\x8b\x08\x00",
        b"\xff\xfe{\x00}\x00",
        b"[]",
    ],
    ids=lambda body: body.decode("latin-1")[:40],
)
def test_a_body_that_two_readers_could_read_differently_is_refused(
    body: bytes, envoy: Envoy, recorder: Recorder
) -> None:
    test_id = new_test_id()
    refused(post(envoy, body, bearer=ADMIN, test_id=test_id), "body_malformed")
    assert not recorder.seen(test_id)


def test_a_body_beyond_the_limit_is_413(envoy: Envoy, recorder: Recorder) -> None:
    padding = "x" * (BODY_BYTES - len(rpc("ping", {"a": ""})))
    assert post(envoy, rpc("ping", {"a": padding})).status == 200
    test_id = new_test_id()
    refused(post(envoy, rpc("ping", {"a": padding + "x"}), test_id=test_id), "body_too_large")
    assert not recorder.seen(test_id)


def test_a_body_beyond_the_limit_of_unknown_length_is_413(envoy: Envoy) -> None:
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        connection.sendall(_chunked_head() + chunk * 5)
        refused(http1.read_response(connection), "body_too_large")


def test_a_body_in_pieces_is_judged_when_it_is_whole(envoy: Envoy, recorder: Recorder) -> None:
    for body, status in ((call("echo"), 200), (DELETE, 403)):
        test_id = new_test_id()
        with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
            connection.sendall(_chunked_head(test_id))
            for at in range(0, len(body), 7):
                piece = body[at : at + 7]
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                # Pieces that are sent at once arrive as one.
                time.sleep(0.005)
            assert not recorder.seen(test_id)
            connection.sendall(b"0\r\n\r\n")
            assert http1.read_response(connection).status == status
        assert len(recorder.seen(test_id)) == (1 if status == 200 else 0)


def test_a_body_may_end_with_trailers(envoy: Envoy) -> None:
    for body, status in ((call("echo"), 200), (DELETE, 403)):
        with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
            chunk = b"%x\r\n%s\r\n" % (len(body), body)
            connection.sendall(_chunked_head() + chunk + b"0\r\nx-trailer: 1\r\n\r\n")
            assert http1.read_response(connection).status == status


def test_streams_and_sessions_have_no_operation(envoy: Envoy, recorder: Recorder) -> None:
    for method in ("GET", "DELETE"):
        test_id = new_test_id()
        assert post(envoy, b"", method=method, test_id=test_id).status == 200
        assert recorder.one(test_id).method == method
    stream_id = new_test_id()
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        headers = [("authorization", f"Bearer {READ}"), ("x-test-id", stream_id)]
        connection.sendall(http1.encode("GET", "/mcp/sse", headers, host="a"))
        until(lambda: recorder.has_stream(stream_id), "the stream to reach the upstream")


def _begins(method: str, body_header: str, bearer: str, test_id: str) -> bytes:
    """A request whose body never ends."""
    lines = [f"{method} /mcp HTTP/1.1", "host: a", f"authorization: Bearer {bearer}"]
    lines += [f"x-test-id: {test_id}", body_header, "", ""]
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
@pytest.mark.parametrize("body_header", ["transfer-encoding: chunked", "content-length: 5"])
def test_headers_of_a_token_that_does_not_suffice_never_go_on(
    method: str, body_header: str, envoy: Envoy, recorder: Recorder
) -> None:
    test_id = new_test_id()
    poor = token("mcp:other")
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        connection.sendall(_begins(method, body_header, poor, test_id))
        assert http1.read_response(connection).status in (400, 403)
    assert not recorder.has_stream(test_id)
    assert not recorder.seen(test_id)


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_the_body_of_a_request_that_should_have_none_is_refused(
    method: str, envoy: Envoy, recorder: Recorder
) -> None:
    test_id = new_test_id()
    announced = post(envoy, call("echo"), method=method, test_id=test_id)
    assert announced.status == 400
    assert not recorder.has_stream(test_id)
    test_id = new_test_id()
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        connection.sendall(_begins(method, "transfer-encoding: chunked", ADMIN, test_id))
        body = call("shell")
        # It never ends: its first byte is enough.
        connection.sendall(b"%x\r\n%s\r\n" % (len(body), body))
        assert http1.read_response(connection).status == 400
    assert envoy.logged(test_id)["reason"] == "body_unexpected"
    assert not recorder.seen(test_id)


@pytest.mark.parametrize(
    "header",
    [
        ("content-type", "application/json; charset=utf-7"),
        ("content-type", 'application/json; x="; charset=utf-16"'),
        ("content-encoding", "gzip"),
    ],
)
def test_a_body_in_another_encoding_is_415(
    header: tuple[str, str], envoy: Envoy, recorder: Recorder
) -> None:
    test_id = new_test_id()
    refused(post(envoy, call("echo"), header, test_id=test_id), "body_encoded")
    assert not recorder.seen(test_id)


def test_a_bad_token_is_refused_before_its_body_has_come(envoy: Envoy) -> None:
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        connection.sendall(_chunked_head(bearer="x.y.z"))
        assert http1.read_response(connection).status == 401


def test_clients_that_leave_in_the_middle_of_a_body_leave_nothing(envoy: Envoy) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
            connection.sendall(_chunked_head() + b"5\r\n{\"jso\r\n")
    until(lambda: envoy.stat("http.mcp.downstream_rq_active") == 0, "Envoy to notice")
    assert post(envoy, call("echo")).status == 200


@pytest.mark.parametrize("holds_headers", [True, False])
def test_a_body_that_comes_while_keys_are_awaited_is_judged(
    start_envoy: Any, recorder: Recorder, concurrency: int, holds_headers: bool
) -> None:
    with KeyServer([tokens.public_jwk("rsa-1")]) as server:
        server.behave(delay_seconds=30)
        made = {**FILTER, "issuers": [{"issuer": server.issuer, "cluster": "keys", "jwks_uri": server.jwks_uri, "keys": {"timeout_seconds": 20}}]}  # fmt: skip
        envoy = start_envoy(
            made,
            {"keys": server.port},
            concurrency=concurrency,
            listener={"holds_headers": holds_headers},
        )
        good = tokens.mint({}, {"iss": server.issuer, "aud": RESOURCE, "sub": "a", "scope": "mcp:read"})
        ids = [new_test_id() for _ in range(8)]
        bodies = [call("echo"), DELETE] * 4
        with ThreadPoolExecutor(8) as pool:
            waiting = [
                pool.submit(post, envoy, body, bearer=good, test_id=one)
                for one, body in zip(ids, bodies, strict=True)
            ]
            until(lambda: envoy.stat("http.mcp.downstream_rq_active") >= 8, "all to wait")
            server.let_go()
            assert [one.result().status for one in waiting] == [200, 403] * 4
        assert [len(recorder.seen(one)) for one in ids] == [1, 0] * 4
        assert recorder.one(ids[0]).body == call("echo")


@pytest.mark.parametrize("holds_headers", [True, False])
def test_a_body_where_none_belongs_stays_here_when_keys_come(
    start_envoy: Any, holds_headers: bool
) -> None:
    """A GET needs no body, and goes on without one; what has come of one by then must not go on."""
    with (
        KeyServer([tokens.public_jwk("rsa-1")]) as server,
        socket.create_server(("127.0.0.1", 0)) as upstream,
    ):
        server.behave(delay_seconds=30)
        made = {**FILTER, "issuers": [{"issuer": server.issuer, "cluster": "keys", "jwks_uri": server.jwks_uri, "keys": {"timeout_seconds": 20}}]}  # fmt: skip
        envoy = start_envoy(
            made,
            {"keys": server.port, "bytes": upstream.getsockname()[1]},
            listener={"holds_headers": holds_headers, "upstream": "bytes"},
        )
        good = tokens.mint({}, {"iss": server.issuer, "aud": RESOURCE, "sub": "a", "scope": "mcp:read"})
        body = call("shell")
        with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
            head = _begins("GET", "transfer-encoding: chunked", good, new_test_id())
            connection.sendall(head + b"%x\r\n%s\r\n" % (len(body), body))
            until(lambda: envoy.stat("wasmcustom.mcp_auth_held_requests") == 1, "it to wait")
            server.behave()
            server.let_go()
            until(lambda: envoy.stat("wasmcustom.mcp_auth_held_requests") == 0, "the keys")
            connection.sendall(b"0\r\n\r\n")
            status = None
            with contextlib.suppress(TimeoutError):
                status = http1.read_response(connection).status
        # Its headers may be there, but nothing behind them.
        assert _received(upstream).partition(b"\r\n\r\n")[2] == b""
        assert status == 400


def _received(upstream: socket.socket) -> bytes:
    """All that has come on the first connection; nothing if there is none."""
    upstream.settimeout(0.5)
    try:
        connection, _ = upstream.accept()
    except TimeoutError:
        return b""
    received = b""
    with connection:
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
    return received


def test_a_host_that_does_not_hold_headers_is_named_in_the_log(envoy: Envoy) -> None:
    assert post(envoy, call("echo")).status == 200
    configured = "allow_on_headers_stop_iteration" in envoy.log()
    bootstrap = (envoy.directory / "bootstrap.json").read_text()
    assert configured == ("allow_on_headers_stop_iteration" not in bootstrap)


def test_observing_forwards_what_would_be_refused(start_envoy: Any, recorder: Recorder) -> None:
    envoy = start_envoy({**FILTER, "mode": "observe"}, listener={"holds_headers": True})
    for body, reason in ((DELETE, "scope_insufficient"), (b"x", "body_malformed")):
        test_id = new_test_id()
        assert post(envoy, body, test_id=test_id).status == 200
        assert recorder.one(test_id).body == body
        logged = envoy.logged(test_id)
        assert (logged["mark"], logged["reason"]) == ("observe", reason)


@pytest.mark.parametrize("holds_headers", [True, False])
def test_a_body_has_to_end_in_time(
    start_envoy: Any, recorder: Recorder, concurrency: int, holds_headers: bool
) -> None:
    made = {**FILTER, "limits": {"body_seconds": 1}}
    listener = {"holds_headers": holds_headers}
    envoy = start_envoy(made, concurrency=concurrency, listener=listener)
    test_id = new_test_id()
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        connection.sendall(_chunked_head(test_id) + b'5\r\n{"jso\r\n')
        response = http1.read_response(connection)
    refused(response, "body_timeout")
    assert response.header("retry-after") is None
    assert envoy.logged(test_id)["reason"] == "body_timeout"
    assert not recorder.seen(test_id)
    assert post(envoy, call("echo")).status == 200


@pytest.mark.parametrize("holds_headers", [True, False])
def test_a_request_without_a_body_has_to_end_in_time(start_envoy: Any, holds_headers: bool) -> None:
    made = {**FILTER, "limits": {"body_seconds": 1}}
    envoy = start_envoy(made, listener={"holds_headers": holds_headers})
    test_id = new_test_id()
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        connection.sendall(_begins("GET", "transfer-encoding: chunked", READ, test_id))
        refused(http1.read_response(connection), "body_timeout")
    assert envoy.logged(test_id)["reason"] == "body_timeout"


@pytest.mark.parametrize("holds_headers", [True, False])
def test_a_body_that_has_no_room_is_503(
    start_envoy: Any, recorder: Recorder, holds_headers: bool
) -> None:
    limits = {"body_bytes": 65536, "held_body_bytes": 65536}
    envoy = start_envoy({**FILTER, "limits": limits}, listener={"holds_headers": holds_headers})
    body = rpc("ping", {"a": "x" * 40_000})
    sent = b"%x\r\n%s\r\n" % (len(body) - 1, body[:-1])
    first, second = new_test_id(), new_test_id()
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        connection.sendall(_chunked_head(first) + sent)
        response = until(lambda: _refused_for_room(envoy, second, sent), "a body without room")
        refused(response, "no_room_for_body")
        assert response.header("retry-after") == "1"
        assert not recorder.seen(second)
        connection.sendall(b"1\r\n}\r\n0\r\n\r\n")
        assert http1.read_response(connection).status == 200
    assert recorder.one(first).body == body
    # What is done with gives its room back.
    for _ in range(4):
        assert post(envoy, body).status == 200


def _refused_for_room(envoy: Envoy, test_id: str, sent: bytes) -> Response | None:
    """None if there was room: the first body had not come yet."""
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=1) as connection:
        connection.sendall(_chunked_head(test_id) + sent)
        try:
            return http1.read_response(connection)
        except TimeoutError:
            return None


def _chunked_head(test_id: str = "", bearer: str = READ) -> bytes:
    headers = [
        ("authorization", f"Bearer {bearer}"),
        ("x-test-id", test_id or new_test_id()),
        ("transfer-encoding", "chunked"),
    ]
    lines = [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(["POST /mcp HTTP/1.1", "host: a", *lines, "", ""]).encode()
