"""Clients that wait for first keys, half of which leave before these come, again and again."""

from __future__ import annotations

import random
import socket
import statistics
import struct
from pathlib import Path

from support import http1
from support.bootstrap import Json
from support.envoy import Envoy
from support.key_server import KeyServer
from support.ports import ReservedPort
from support.waiting import until

from .. import stage
from ..report import Report, mebibytes
from ..signing import SigningKey

_ROUNDS = 20
_CLIENTS = 500
_FOR_EVER = 60.0
# Memory may settle in the first rounds; from then on it is to stay.
_SETTLED = 5
_GROWTH_BYTES = 8 * 2**20


def run(report: Report, directory: Path) -> None:
    key = SigningKey()
    chance = random.Random(4)
    memory, answered, not_200, left_over = [], 0, 0, 0
    with stage.key_server(key) as server, ReservedPort() as port:
        server.behave(delay_seconds=_FOR_EVER)
        token = key.token(server.issuer)
        one = stage.listener(_configuration(server, 0), port.number)
        with stage.envoy(directory, one, {"keys": server}, dynamic=True) as envoy:
            for number in range(1, _ROUNDS + 1):
                # Another place for the keys is another source: first keys once more.
                server.behave(delay_seconds=_FOR_EVER)
                envoy.update({"mcp": stage.listener(_configuration(server, number), port.number)})
                statuses = _round(envoy, server, token, chance)
                answered += len(statuses)
                not_200 += sum(1 for status in statuses if status != 200)
                left_over += _waiting_at_the_end(envoy)
                memory.append(stage.resident_bytes(envoy.pid))
                if number % 5 == 0:
                    report.say(f"{number} rounds, {mebibytes(memory[-1])}")
            # The old configurations are drained, and one more request shows that all is well.
            server.behave()
            alive = http1.get(envoy.port, "/mcp", token).status == 200
    report.figure(
        f"answers to those who stayed, {_ROUNDS} rounds of {_CLIENTS} clients",
        f"{answered - not_200} of {answered} are 200",
        "all",
        held=not_200 == 0 and answered == _ROUNDS * _CLIENTS // 2,
    )
    report.figure("still held at the end of a round", f"{left_over}", "0", held=left_over == 0)
    settled = statistics.median(memory[_SETTLED : _SETTLED + 5])
    last = statistics.median(memory[-5:])
    report.figure(
        "Envoy's memory: first, median, last",
        f"{mebibytes(memory[0])}, {mebibytes(statistics.median(memory))}, {mebibytes(memory[-1])}",
    )
    report.figure(
        f"growth of memory from rounds {_SETTLED + 1}-{_SETTLED + 5} to the last five",
        mebibytes(last - settled),
        f"{mebibytes(_GROWTH_BYTES)} at most",
        held=last - settled <= _GROWTH_BYTES,
    )
    report.figure("Envoy serves on", "yes" if alive else "no", "yes", held=alive)


def _configuration(server: KeyServer, number: int) -> Json:
    return stage.configuration(stage.issuer(server, query=f"?round={number}", timeout_seconds=30))


def _round(envoy: Envoy, server: KeyServer, token: str, chance: random.Random) -> list[int]:
    """The statuses that those who stayed were answered with."""
    sent = http1.encode("GET", "/mcp", [("authorization", f"Bearer {token}")], host="127.0.0.1")
    clients = []
    try:
        for _ in range(_CLIENTS):
            client = socket.create_connection(("127.0.0.1", envoy.port), timeout=15)
            clients.append(client)
            client.sendall(sent)
        stage.until_waiting(envoy, _CLIENTS)
        chance.shuffle(clients)
        for number in range(_CLIENTS // 2):
            leaver = clients.pop()
            if number % 2:  # by a reset instead of an orderly end
                leaver.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            leaver.close()
        stage.until_waiting(envoy, len(clients))
        server.behave()
        server.let_go()
        return [_status(client) for client in clients]
    finally:
        for client in clients:
            client.close()


def _status(client: socket.socket) -> int:
    try:
        return http1.read_response(client).status
    except OSError:
        return 0


def _waiting_at_the_end(envoy: Envoy) -> int:
    try:
        until(lambda: stage.waiting_requests(envoy) == 0, "nobody to wait", timeout=5)
    except TimeoutError:
        return stage.waiting_requests(envoy)
    return 0
