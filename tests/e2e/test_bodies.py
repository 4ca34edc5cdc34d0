"""A body that is still on its way while its request waits for keys reaches the server whole.

Envoy before 1.39.1 loses a piece if a request is resumed after its body was paused.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import pytest
from support import http1, http2, tokens
from support.envoy import Envoy
from support.key_server import KeyServer
from support.recorder import Recorder, new_test_id
from support.waiting import until

RESOURCE = "https://mcp.example.com/mcp"

StartEnvoy = Callable[..., Envoy]


class Upload(Protocol):
    def send(self, piece: bytes, *, ends: bool = False) -> None: ...

    def status(self) -> int: ...

    def close(self) -> None: ...


class Http1Upload:
    """A POST whose body is sent piece by piece; in chunks if its `length` is not told."""

    def __init__(self, port: int, bearer: str, test_id: str, length: int | None) -> None:
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        lines = [f"authorization: Bearer {bearer}", f"x-test-id: {test_id}", framing]
        head = "\r\n".join(["POST /mcp HTTP/1.1", "host: mcp.example.com", *lines, "", ""])
        self._chunked = length is None
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=15)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.sendall(head.encode())

    def send(self, piece: bytes, *, ends: bool = False) -> None:
        if self._chunked:
            piece = b"%x\r\n%s\r\n" % (len(piece), piece) + (b"0\r\n\r\n" if ends else b"")
        self._connection.sendall(piece)

    def status(self) -> int:
        return http1.read_response(self._connection).status

    def close(self) -> None:
        self._connection.close()


def upload(kind: str, port: int, bearer: str, test_id: str, length: int) -> Upload:
    if kind == "http2":
        headers = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":authority", b"mcp.example.com"),
            (b":path", b"/mcp"),
            (b"authorization", f"Bearer {bearer}".encode()),
            (b"x-test-id", test_id.encode()),
        ]
        return http2.Upload(port, headers)
    return Http1Upload(port, bearer, test_id, length if kind == "length" else None)


KINDS = ("chunked", "length", "http2")


def ping(size: int) -> bytes:
    """A message of so many bytes, none like the next."""
    numbers = " ".join(str(number) for number in range(size // 6 + 1))

    def made(padding: str) -> bytes:
        params = {"text": padding}
        message = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": params}
        return json.dumps(message).encode()

    return made(numbers[: size - len(made(""))])


def pieces(body: bytes, count: int) -> list[bytes]:
    size = -(-len(body) // count)
    return [body[at : at + size] for at in range(0, len(body), size)]


BODIES = [pieces(ping(111), 5), pieces(ping(500_000), 10)]


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    with KeyServer([tokens.public_jwk("rsa-1")]) as running:
        yield running


@pytest.mark.parametrize("operations", [False, True], ids=["no-operations", "operations"])
@pytest.mark.parametrize("holds_headers", [True, False], ids=["headers-held", "headers-not-held"])
def test_a_body_arrives_whole(
    start_envoy: StartEnvoy,
    recorder: Recorder,
    key_server: KeyServer,
    holds_headers: bool,
    operations: bool,
) -> None:
    rule = {"method": "tools/call", "name": "delete_*", "scopes": ["mcp:admin"]}
    keys = {"timeout_seconds": 30, "unknown_key_cooldown_seconds": 1}
    key_server.behave(delay_seconds=60)
    envoy = start_envoy(
        {
            "issuers": [{"issuer": key_server.issuer, "cluster": "keys", "jwks_uri": key_server.jwks_uri, "keys": keys}],
            "resources": [{"resource": RESOURCE, "operations": [rule] if operations else []}],
        },
        {"keys": key_server.port},
        listener={"holds_headers": holds_headers},
    )  # fmt: skip
    claims = {"iss": key_server.issuer, "aud": RESOURCE, "sub": "alice"}
    # At the first keys, and once more where the issuer has a new one.
    for key in ("rsa-1", "ec-1"):
        key_server.behave(delay_seconds=60)
        key_server.keys = [tokens.public_jwk("rsa-1"), tokens.public_jwk(key)]
        bearer = tokens.mint({"key": key}, claims)
        check(envoy, recorder, key_server, bearer, key)


def check(
    envoy: Envoy, recorder: Recorder, key_server: KeyServer, bearer: str, name: str
) -> None:
    wanted = [(kind, body) for kind in KINDS for body in BODIES]
    ids = [new_test_id() for _ in wanted]
    with contextlib.ExitStack() as stack:
        uploads = []
        for (kind, body), one in zip(wanted, ids, strict=True):
            made = upload(kind, envoy.port, bearer, one, sum(map(len, body)))
            stack.callback(made.close)
            uploads.append(made)
            for piece in body[:2]:
                made.send(piece)
                # Pieces that are sent at once arrive as one.
                time.sleep(0.005)
        until(lambda: waiting(envoy) == len(uploads), "all to wait")
        assert not any(recorder.seen(one) for one in ids)
        key_server.behave()
        key_server.let_go()
        until(lambda: waiting(envoy) == 0, "nobody to wait")
        for made, (_, body) in zip(uploads, wanted, strict=True):
            send_the_rest(made, body[2:])
        for made, (kind, body), one in zip(uploads, wanted, ids, strict=True):
            assert made.status() == 200, (name, kind)
            whole = b"".join(body)
            [seen] = recorder.seen(one)
            assert len(seen.body) == len(whole), (name, kind)
            assert seen.body == whole, (name, kind)


def send_the_rest(made: Upload, rest: Sequence[bytes]) -> None:
    for number, piece in enumerate(rest, 1):
        time.sleep(0.005)
        made.send(piece, ends=number == len(rest))


def waiting(envoy: Envoy) -> Any:
    return envoy.stat("wasmcustom.mcp_auth_held_requests")
