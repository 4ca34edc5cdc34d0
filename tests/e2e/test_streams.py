"""Streams through the filter, event by event: nothing is held back, nothing is cut."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import cases, http1, tokens
from support.bootstrap import Listener
from support.envoy import Envoy
from support.recorder import Recorder, new_test_id
from support.waiting import until

GOOD = tokens.mint(
    defaults={
        "iss": "https://auth.example.com",
        "aud": "https://mcp.example.com/mcp",
        "scope": "mcp:read",
        "exp": {"$now": 3600},
    }
)


@pytest.fixture(scope="module")
def envoy(
    wasm: Path, recorder: Recorder, concurrency: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Envoy]:
    listener = Listener(wasm=wasm, configuration=cases.config("one").filter)
    directory = tmp_path_factory.mktemp("streams")
    with Envoy(
        directory, {"mcp": listener}, {"upstream": recorder.port}, concurrency=concurrency
    ) as running:
        yield running


class Stream:
    """An open `/mcp/sse` stream."""

    def __init__(self, envoy: Envoy, recorder: Recorder, method: str = "GET") -> None:
        self.id = new_test_id()
        headers = [("authorization", f"Bearer {GOOD}"), ("x-test-id", self.id)]
        self._socket = socket.create_connection(("127.0.0.1", envoy.port), timeout=10)
        self._socket.sendall(http1.encode(method, "/mcp/sse", headers, host="a"))
        self.received = b""
        until(lambda: recorder.has_stream(self.id), "the stream to reach the upstream")

    def read_until(self, wanted: bytes) -> None:
        while wanted not in self.received:
            piece = self._socket.recv(65536)
            assert piece, "the stream ended early"
            self.received += piece

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_each_event_arrives_before_the_next_is_sent(
    method: str, envoy: Envoy, recorder: Recorder
) -> None:
    stream = Stream(envoy, recorder, method)
    stream.read_until(b"text/event-stream")
    for number in range(5):
        recorder.send_event(stream.id, f"event {number}")
        stream.read_until(b"event %d\n\n" % number)
    recorder.end_stream(stream.id)
    stream.read_until(b"0\r\n\r\n")
    stream.close()


def test_the_upstream_learns_that_a_client_has_left(envoy: Envoy, recorder: Recorder) -> None:
    stream = Stream(envoy, recorder)
    stream.read_until(b"text/event-stream")
    stream.close()
    until(lambda: not recorder.has_stream(stream.id), "the upstream's end of the stream to close")


def test_a_large_body_is_passed_on(envoy: Envoy, recorder: Recorder) -> None:
    """Larger than Envoy's buffers: the filter must not hold bodies back."""
    test_id, body = new_test_id(), bytes(range(256)) * 16384
    headers = [("authorization", f"Bearer {GOOD}"), ("x-test-id", test_id)]
    assert http1.request(envoy.port, "POST", "/mcp", headers, body).status == 200
    assert recorder.one(test_id).body == body


def test_a_refused_body_is_not_read_to_its_end(envoy: Envoy, recorder: Recorder) -> None:
    test_id = new_test_id()
    head = http1.encode("POST", "/mcp", [("x-test-id", test_id)], host="a")
    head = head.replace(b"content-length: 0", b"content-length: 1000000")
    assert http1.exchange(envoy.port, head, "POST").status == 401
    assert not recorder.seen(test_id)


def test_many_requests_on_one_connection(envoy: Envoy, recorder: Recorder) -> None:
    """A verdict belongs to one request, not to its connection."""
    good = http1.encode("GET", "/mcp", [("authorization", f"Bearer {GOOD}")], host="a")
    bad = http1.encode("GET", "/mcp", [], host="a")
    free = http1.encode("GET", "/health", [], host="a")
    wanted = {good: 200, bad: 401, free: 200}
    with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
        for sent in [good, bad, free, bad, good, free, good] * 5:
            connection.sendall(sent.replace(b"connection: close\r\n", b""))
            assert http1.read_response(connection).status == wanted[sent]
