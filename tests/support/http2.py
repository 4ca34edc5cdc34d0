"""HTTP/2 (prior knowledge, no TLS): a client that sends exactly the header list of a test, and an
upstream that keeps what reached it, trailers too."""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from .http1 import Response
from .threaded import Threaded

Pairs = Sequence[tuple[bytes, bytes]]


class StreamReset(ConnectionError):
    """The server reset the stream or closed the connection instead of answering."""


def request(
    port: int,
    headers: Pairs,
    body: bytes = b"",
    trailers: Pairs = (),
    *,
    timeout: float = 15.0,
) -> Response:
    """One request; nothing in `headers` is checked, ordered, or completed."""
    config = h2.config.H2Configuration(
        client_side=True,
        header_encoding=None,
        validate_outbound_headers=False,
        normalize_outbound_headers=False,
        validate_inbound_headers=False,
    )
    protocol = h2.connection.H2Connection(config)
    protocol.initiate_connection()
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        protocol.send_headers(1, list(headers), end_stream=not (body or trailers))
        if body:
            protocol.send_data(1, body, end_stream=not trailers)
        if trailers:
            protocol.send_headers(1, list(trailers), end_stream=True)
        connection.sendall(protocol.data_to_send())
        return _read(connection, protocol)


def _read(connection: socket.socket, protocol: h2.connection.H2Connection) -> Response:
    status, headers, body = 0, [], b""
    while True:
        try:
            received = connection.recv(65536)
        except ConnectionResetError as error:
            raise StreamReset(str(error)) from error
        if not received:
            raise StreamReset("the server closed the connection")
        try:
            events = protocol.receive_data(received)
        except h2.exceptions.ProtocolError as error:  # it goes on after its own GOAWAY
            raise StreamReset(repr(error)) from error
        for event in events:
            match event:
                case h2.events.ResponseReceived():
                    pairs = [(n.decode(), v.decode("latin-1")) for n, v in event.headers or []]
                    status = int(dict(pairs)[":status"])
                    headers = [pair for pair in pairs if not pair[0].startswith(":")]
                case h2.events.DataReceived():
                    body += event.data or b""
                    protocol.acknowledge_received_data(event.flow_controlled_length or 0, 1)
                case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    raise StreamReset(repr(event))
                case h2.events.StreamEnded():
                    return Response(status, headers, body)
                case _:
                    pass
        connection.sendall(protocol.data_to_send())


class Together:
    """Many requests, each a stream of its own, sent within a moment over a few connections."""

    _STREAMS = 100
    """On one connection: what Envoy allows by default."""

    def __init__(self, port: int, requests: Sequence[tuple[Pairs, bytes]], timeout: float = 30.0):
        parts = [
            requests[at : at + self._STREAMS] for at in range(0, len(requests), self._STREAMS)
        ]
        self._connections: list[tuple[socket.socket, h2.connection.H2Connection, int]] = []
        for part in parts:
            connection = socket.create_connection(("127.0.0.1", port), timeout=timeout)
            protocol = h2.connection.H2Connection()
            protocol.initiate_connection()
            self._connections.append((connection, protocol, len(part)))
        for (_, protocol, _), part in zip(self._connections, parts, strict=True):
            for number, (headers, body) in enumerate(part):
                protocol.send_headers(1 + 2 * number, list(headers), end_stream=not body)
                if body:
                    protocol.send_data(1 + 2 * number, body, end_stream=True)
        for connection, protocol, _ in self._connections:
            connection.sendall(protocol.data_to_send())

    def statuses(self) -> list[int]:
        """In the order of the requests; 0 for one that was reset or whose connection ended."""
        try:
            return [status for one in self._connections for status in self._read(*one)]
        finally:
            self.close()

    def close(self) -> None:
        for connection, _, _ in self._connections:
            connection.close()

    @staticmethod
    def _read(
        connection: socket.socket, protocol: h2.connection.H2Connection, count: int
    ) -> list[int]:
        statuses: dict[int, int] = {}
        ended: set[int] = set()
        while len(ended) < count:
            received = connection.recv(65536)
            if not received:
                break
            for event in protocol.receive_data(received):
                match event:
                    case h2.events.ResponseReceived():
                        found = dict(event.headers or [])
                        statuses[event.stream_id] = int(found[b":status"])
                    case h2.events.DataReceived():
                        size = event.flow_controlled_length or 0
                        protocol.acknowledge_received_data(size, event.stream_id)
                    case h2.events.StreamEnded() | h2.events.StreamReset():
                        ended.add(event.stream_id)
                    case _:
                        pass
            connection.sendall(protocol.data_to_send())
        return [statuses.get(1 + 2 * number, 0) for number in range(count)]


class Upload:
    """A request whose body is sent piece by piece."""

    def __init__(self, port: int, headers: Pairs, timeout: float = 15.0):
        self._protocol = h2.connection.H2Connection()
        self._protocol.initiate_connection()
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._protocol.send_headers(1, list(headers))
        self._flush()

    def send(self, piece: bytes, *, ends: bool = False) -> None:
        """Sends all of it, as far as the server lets it at a time."""
        while len(piece) > (window := self._protocol.local_flow_control_window(1)):
            part, piece = piece[:window], piece[window:]
            self._data(part)
            self._protocol.receive_data(self._connection.recv(65536))
            self._flush()
        self._data(piece, ends=ends)

    def status(self) -> int:
        return _read(self._connection, self._protocol).status

    def close(self) -> None:
        self._connection.close()

    def _data(self, piece: bytes, *, ends: bool = False) -> None:
        largest = self._protocol.max_outbound_frame_size
        parts = [piece[at : at + largest] for at in range(0, len(piece), largest)] or [b""]
        for number, part in enumerate(parts, 1):
            self._protocol.send_data(1, part, end_stream=ends and number == len(parts))
        self._flush()

    def _flush(self) -> None:
        self._connection.sendall(self._protocol.data_to_send())


@dataclass
class Arrived:
    """One request as an `Upstream` got it."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)


class Upstream(Threaded):
    """A server of HTTP/2 (prior knowledge) that keeps what reached it, and answers 200."""

    def __init__(self) -> None:
        self.seen: list[Arrived] = []
        upstream = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                upstream._serve(self.request)

        super().__init__(Handler)

    def _serve(self, connection: socket.socket) -> None:
        protocol = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        )
        protocol.initiate_connection()
        arriving: dict[int, Arrived] = {}
        connection.sendall(protocol.data_to_send())
        while received := connection.recv(65536):
            for event in protocol.receive_data(received):
                match event:
                    case h2.events.RequestReceived():
                        arriving[event.stream_id] = Arrived(headers=list(event.headers))
                    case h2.events.DataReceived():
                        arriving[event.stream_id].body += event.data
                        protocol.acknowledge_received_data(
                            event.flow_controlled_length, event.stream_id
                        )
                    case h2.events.TrailersReceived():
                        arriving[event.stream_id].trailers = list(event.headers)
                    case h2.events.StreamEnded():
                        self.seen.append(arriving.pop(event.stream_id))
                        protocol.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
                    case _:
                        pass
            connection.sendall(protocol.data_to_send())
