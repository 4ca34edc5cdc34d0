"""Lists in responses lose what their reader may not use; all else arrives as it was sent."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, types
from mcp.client.sse import sse_client
from mcp.shared.auth import OAuthToken
from support import http1, tokens
from support.bootstrap import Listener
from support.envoy import Envoy
from support.http1 import Response
from support.mcp_client import LEGACY, MODERN, Login, connect
from support.recorder import Recorder, new_test_id
from support.stack import Stack
from support.waiting import until

ISSUER = "https://auth.example.com"
RESOURCE = "https://mcp.example.com/mcp"
BODY_BYTES = 65536

FILTER: dict[str, Any] = {
    "issuers": [{"issuer": ISSUER, "jwks": tokens.jwks(["ec-1"])}],
    "resources": [
        {
            "resource": RESOURCE,
            "scopes": ["mcp:read"],
            "filter_lists": True,
            "operations": [
                {"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]},
                {"method": "prompts/get", "name": "secret", "scopes": ["mcp:admin"]},
                {"method": "resources/read", "name": "file:///secret/*", "scopes": ["mcp:admin"]},
            ],
        }
    ],
    "limits": {"body_bytes": BODY_BYTES},
}


def token(scope: str) -> str:
    claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "alice", "scope": scope, "exp": {"$now": 3600}}
    return tokens.mint({"key": "ec-1"}, claims)


READ, ADMIN = token("mcp:read"), token("mcp:read mcp:admin")


@pytest.fixture(scope="module", params=[True, False], ids=["headers-held", "headers-not-held"])
def envoy(
    request: pytest.FixtureRequest,
    wasm: Path,
    recorder: Recorder,
    concurrency: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Envoy]:
    listener = Listener(wasm=wasm, configuration=FILTER, holds_headers=request.param)
    directory = tmp_path_factory.mktemp("lists")
    with Envoy(
        directory, {"mcp": listener}, {"upstream": recorder.port}, concurrency=concurrency
    ) as running:
        yield running


def rpc(method: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": method}).encode()


def result(**members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "result": {**members, "nextCursor": "c"}}


def tools(*names: str) -> dict[str, Any]:
    return result(tools=[{"name": name, "inputSchema": {"type": "object"}} for name in names])


UNREADABLE = {
    "jsonrpc": "2.0",
    "id": 7,
    "error": {"code": -32603, "message": "The list could not be read by the gateway"},
}


def raw(
    body: bytes,
    *headers: str,
    status: str = "200 OK",
    content_type: str = "application/json",
    chunks: int | None = None,
    trailers: str = "",
) -> bytes:
    """A response with a length, or in chunks of a size, and then perhaps with trailers."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {content_type}", *headers]
    if chunks is None:
        lines.append(f"content-length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body
    lines.append("transfer-encoding: chunked")
    pieces = [body[at : at + chunks] for at in range(0, len(body), chunks)]
    sent = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return "\r\n".join([*lines, "", ""]).encode() + sent + f"0\r\n{trailers}\r\n".encode()


def ask(
    envoy: Envoy, recorder: Recorder, method: str, answer: bytes, bearer: str = READ
) -> Response:
    test_id = new_test_id()
    recorder.answer(test_id, answer)
    headers = [("authorization", f"Bearer {bearer}"), ("x-test-id", test_id)]
    headers += [("content-type", "application/json"), ("accept-encoding", "gzip, br")]
    response = http1.request(envoy.port, "POST", "/mcp", headers, rpc(method))
    assert recorder.seen(test_id), response
    assert recorder.one(test_id).header("accept-encoding") is None
    return response


@pytest.mark.parametrize("chunks", [None, 1, 16, 4096])
def test_a_list_in_json(envoy: Envoy, recorder: Recorder, chunks: int | None) -> None:
    sent = json.dumps(tools("echo", "delete_all", "undelete")).encode()
    response = ask(envoy, recorder, "tools/list", raw(sent, "x-of: server", chunks=chunks))
    assert response.status == 200
    assert response.json() == tools("echo", "undelete")
    assert response.header("x-of") == "server"
    assert response.header("content-type") == "application/json"
    full = ask(envoy, recorder, "tools/list", raw(sent, chunks=chunks), ADMIN)
    assert full.body == sent


def test_prompts_and_resources(envoy: Envoy, recorder: Recorder) -> None:
    prompts = result(prompts=[{"name": "plain"}, {"name": "secret"}])
    assert ask(envoy, recorder, "prompts/list", raw(json.dumps(prompts).encode())).json() == (
        result(prompts=[{"name": "plain"}])
    )
    listed = [{"uri": "file:///open", "name": "a"}, {"uri": "file:///secret/b", "name": "b"}]
    resources = json.dumps(result(resources=listed)).encode()
    assert ask(envoy, recorder, "resources/list", raw(resources)).json() == (
        result(resources=listed[:1])
    )


def test_a_response_with_trailers(envoy: Envoy, recorder: Recorder) -> None:
    sent = json.dumps(tools("echo", "delete_all")).encode()
    for chunks in (7, 4096):
        answer = raw(sent, "trailer: x-end", chunks=chunks, trailers="x-end: 1\r\n")
        assert ask(envoy, recorder, "tools/list", answer).json() == tools("echo")


def test_other_responses_are_untouched(envoy: Envoy, recorder: Recorder) -> None:
    sent = json.dumps(tools("delete_all")).encode()
    called = ask(envoy, recorder, "ping", raw(sent, "content-digest: sha-256=:x:"))
    assert called.body == sent
    assert called.header("content-digest") == "sha-256=:x:"
    failed = ask(envoy, recorder, "tools/list", raw(sent, status="500 Internal Server Error"))
    assert (failed.status, failed.body) == (500, sent)
    assert failed.header("content-length") == str(len(sent))
    accepted = ask(envoy, recorder, "tools/list", raw(b"", status="202 Accepted"))
    assert (accepted.status, accepted.body) == (202, b"")


@pytest.mark.parametrize(
    "answer",
    [
        raw(b'{"result":{"tools":[{"name":"delete_all"}]', chunks=10),
        raw(b'{"result":{"tools":{"delete_all":1}}}'),
        raw(json.dumps(tools("delete_all", "x" * BODY_BYTES)).encode()),
        raw(json.dumps(tools("x" * BODY_BYTES, "delete_all")).encode(), chunks=1000),
        raw(b"\x1f\x8bdelete_all", "content-encoding: gzip"),
        raw(b"\x1f\x8bdelete_all", "content-encoding: gzip", chunks=3),
    ],
    ids=["cut", "no-list", "long", "long-in-chunks", "gzip", "gzip-in-chunks"],
)
def test_what_cannot_be_judged_is_replaced(
    envoy: Envoy, recorder: Recorder, answer: bytes
) -> None:
    response = ask(envoy, recorder, "tools/list", answer)
    assert response.status == 200
    assert response.json() == UNREADABLE
    assert response.header("content-encoding") is None


@pytest.mark.parametrize("chunks", [None, 1000])
@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"\0" * 10 * BODY_BYTES,
        json.dumps(result(content=[{"type": "text", "text": "x" * 10 * BODY_BYTES}])).encode(),
    ],
    ids=["html", "binary", "result"],
)
def test_what_is_no_list_answer_passes(
    envoy: Envoy, recorder: Recorder, body: bytes, chunks: int | None
) -> None:
    assert ask(envoy, recorder, "tools/list", raw(body, chunks=chunks)).body == body


class Stream:
    """An open stream of events."""

    def __init__(self, envoy: Envoy, recorder: Recorder, method: str) -> None:
        self.id = new_test_id()
        self.recorder = recorder
        headers = [("authorization", f"Bearer {READ}"), ("x-test-id", self.id)]
        self._socket = socket.create_connection(("127.0.0.1", envoy.port), timeout=10)
        body = rpc("tools/list") if method == "POST" else b""
        self._socket.sendall(http1.encode(method, "/mcp/sse", headers, body, host="a"))
        self.received = b""
        until(lambda: recorder.has_stream(self.id), "the stream to reach the upstream")

    def read_until(self, wanted: bytes) -> bytes:
        while wanted not in self.received:
            piece = self._socket.recv(65536)
            assert piece, "the stream ended early"
            self.received += piece
        return self.received

    def events(self, wanted: int) -> bytes:
        """The stream's own bytes, once there are so many; what else comes with them must not be."""
        while len(found := unchunked(self.received)) < wanted:
            piece = self._socket.recv(65536)
            assert piece, "the stream ended early"
            self.received += piece
        return found

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def unchunked(received: bytes) -> bytes:
    """The body of a chunked response, as far as its chunks have come."""
    body = b""
    _, _, rest = received.partition(b"\r\n\r\n")
    while (sized := rest.partition(b"\r\n"))[1]:
        size = int(sized[0], 16)
        if len(sized[2]) < size + 2:
            break
        body += sized[2][:size]
        rest = sized[2][size + 2 :]
    return body


CALLED = json.dumps(result(content=[{"type": "text", "text": "x" * 10 * BODY_BYTES}])).encode()


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(
    "pieces",
    [
        [b": ping\r\n\r\n"],
        [b"event: message\r\ndata: {}\r\n\r\n", b": ping - 1\r\n\r\n"],
        [b"data: 1\r\n\r", b"\n"],
        [b"id: 1\r", b"\ndata: x\r\r"],
        [b"event: endpoint\r\ndata: /messages/?session_id=1\r\n\r\n"],
        [b"retry: 500\n\n", b"id: 7\ndata: \n\n", b"data: no JSON\n\n", b"data: {\n\n"],
        [b"event: message\r\ndata: %s\r\n\r\n" % CALLED],
    ],
    ids=["ping", "crlf", "cut-end", "cr", "endpoint", "odd", "long"],
)
def test_each_piece_of_a_stream_arrives_before_the_next_is_sent(
    envoy: Envoy, recorder: Recorder, pieces: list[bytes], method: str
) -> None:
    """Nothing else comes that would take it along: the stream stays open, and the socket's timeout
    would end the wait."""
    with Stream(envoy, recorder, method) as stream:
        sent = b""
        for piece in pieces:
            recorder.send_piece(stream.id, piece)
            sent += piece
            assert stream.events(len(sent)) == sent


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_list_in_a_stream_of_events(method: str, envoy: Envoy, recorder: Recorder) -> None:
    with Stream(envoy, recorder, method) as stream:
        stream.read_until(b"text/event-stream")
        for number in range(3):
            recorder.send_event(stream.id, json.dumps({"method": "x", "params": number}))
            stream.read_until(b'"params": %d}\n\n' % number)
        event = b"id: 9\ndata: %s\n\n" % json.dumps(tools("echo", "delete_all")).encode()
        recorder.send_piece(stream.id, event[:40])
        recorder.send_piece(stream.id, event[40:])
        stream.read_until(b'"nextCursor": "c"}}\n\n')
        received = unchunked(stream.received)
        assert b"id: 9\ndata: " in received and b'"echo"' in received
        assert b"delete_all" not in received
        recorder.end_stream(stream.id)
        stream.read_until(b"0\r\n\r\n")


@pytest.fixture
def filtering(wasm: Path, concurrency: int, tmp_path: Path) -> Iterator[Stack]:
    """The real parts; only an administrator sees `whoami`."""
    rule = {"method": "tools/call", "name": "whoami", "scopes": ["mcp:admin"]}
    resource = {"operations": [rule], "filter_lists": True}
    with Stack(tmp_path, wasm, concurrency=concurrency, resource=resource) as stack:
        yield stack


OFFERED = {"echo", "count", "announce"}


@pytest.mark.parametrize("mode", [LEGACY, MODERN], ids=["2025-11-25", "2026-07-28"])
def test_the_sdk_sees_what_it_may_call(filtering: Stack, mode: str) -> None:
    async def listed() -> set[str]:
        async with connect(filtering.url, mode, Login()) as connected:
            await connected.client.call_tool("echo", {"text": "hello"})
            return {tool.name for tool in (await connected.client.list_tools()).tools}

    assert asyncio.run(asyncio.wait_for(listed(), 30)) == OFFERED


@pytest.mark.parametrize("sse", [False, True], ids=["2025-11-25", "2024-11-05"])
def test_the_sdk_is_told_at_once(filtering: Stack, sse: bool) -> None:
    """The server ends its lines with CRLF, and sends nothing more for 15 s. On HTTP with SSE it
    says first where messages go, and answers come on the stream of the GET."""
    tokens = filtering.authorization.client_credentials(filtering.url, "mcp:read")
    headers = {"authorization": f"Bearer {tokens['access_token']}"}

    async def told() -> set[str]:
        changed = asyncio.Event()

        async def on_message(message: object) -> None:
            if isinstance(message, types.ToolListChangedNotification):
                changed.set()

        async with AsyncExitStack() as opened:
            if sse:
                transport = sse_client(f"{filtering.url}/sse", headers)
                options: dict[str, Any] = {"mode": LEGACY, "message_handler": on_message}
                client = await opened.enter_async_context(Client(transport, **options))
            else:
                login = Login(tokens=OAuthToken.model_validate(tokens))
                connected = await opened.enter_async_context(
                    connect(filtering.url, LEGACY, login, message_handler=on_message)
                )
                client = connected.client
                while not connected.sent("GET", "/mcp"):
                    await asyncio.sleep(0.01)
            await client.call_tool("announce", {})
            await asyncio.wait_for(changed.wait(), 5)
            return {tool.name for tool in (await client.list_tools()).tools}

    assert asyncio.run(asyncio.wait_for(told(), 30)) == OFFERED
