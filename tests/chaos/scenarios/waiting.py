"""Five hundred clients wait for the first keys; half of them leave. Twenty times."""

from __future__ import annotations

import asyncio
import statistics

from support.envoy import Envoy
from support.key_server import KeyServer
from support.waiting import until

from ..figures import Report
from ..world import Key, World, configuration, listener, metric, resident_kib

ROUNDS = 20
CLIENTS = 500


def run(world: World, report: Report) -> None:
    key = Key()
    server = world.key_server(key)
    token = key.token(server.issuer)
    made = configuration(server, timeout_seconds=30)
    envoy = world.envoy(listener(made), server, dynamic=True)
    answered: list[int] = []
    resident: list[int] = []
    for number in range(ROUNDS):
        server.behave(delay_seconds=60)
        # Another place of the keys is another source: its first keys are to be waited for.
        made["issuers"][0]["jwks_uri"] = f"{server.jwks_uri}?round={number}"
        before = server.fetches()
        envoy.update({"mcp": listener(made)})
        server.wait_for_fetches(before + 1)
        answered += asyncio.run(_round(envoy, server, token))
        until(lambda: metric(envoy, "mcp_auth_held_requests") == 0, "nobody to wait")
        resident.append(resident_kib(envoy.pid))
        envoy.check()
    expected = ROUNDS * CLIENTS // 2
    good = answered.count(200)
    report.check(
        "waiting", "clients that stayed and were served", good, f"{expected}", good == expected
    )
    settled = resident[4:]
    growth = settled[-1] / settled[0]
    report.check(
        "waiting",
        "memory after rounds 1, 5, 12, 20",
        ", ".join(f"{resident[at] / 1024:.0f} MiB" for at in (0, 4, 11, 19)),
        "flat from round 5 on",
        growth < 1.1,
    )
    report.note("waiting", "median memory", f"{statistics.median(resident) / 1024:.0f} MiB")


async def _round(envoy: Envoy, server: KeyServer, token: str) -> list[int]:
    request = (
        f"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
        "connection: close\r\n\r\n"
    ).encode()

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        streams = await asyncio.open_connection("127.0.0.1", envoy.port)
        streams[1].write(request)
        return streams

    clients = [await connect() for _ in range(CLIENTS)]

    def held() -> int:
        return metric(envoy, "mcp_auth_held_requests")

    await asyncio.to_thread(until, lambda: held() == CLIENTS, "all to wait", timeout=20)
    for _, writer in clients[::2]:
        writer.close()
    await asyncio.to_thread(until, lambda: held() == CLIENTS // 2, "half to leave", timeout=20)
    server.behave()
    server.let_go()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            return int(head[9:12])
        except (TimeoutError, EOFError):
            return 0
        finally:
            writer.close()

    return list(await asyncio.gather(*(answer(*client) for client in clients[1::2])))
