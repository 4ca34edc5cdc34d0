"""Opaque tokens: the issuer is asked (RFC 7662), through a real Envoy that adds the credentials."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.shared.auth import OAuthClientInformationFull
from support import http1, tokens
from support.authorization import AuthorizationServer
from support.bootstrap import Json, Listener
from support.envoy import Envoy
from support.introspection_server import (
    INACTIVE,
    Answer,
    IntrospectionServer,
    active,
    asking_cluster,
    basic,
)
from support.mcp_client import LEGACY, MODERN, Login, connect
from support.mcp_server import McpServer
from support.ports import ReservedPort
from support.recorder import Recorder, new_test_id
from support.waiting import until

PATIENCE = 60
RESOURCE = "https://mcp.example.com/mcp"


class World:
    """An issuer that a test scripts, Envoy, and a server that records what reaches it."""

    def __init__(
        self,
        directory: Path,
        wasm: Path,
        recorder: Recorder,
        *,
        workers: int = 1,
        introspection: Json | None = None,
        issuer: Json | None = None,
        resource: Json | None = None,
        credentials: str | None = None,
        discovered: bool = False,
        vm_id: str = "mcp_auth",
        **more: Any,
    ) -> None:
        self._stack = ExitStack()
        self.recorder = recorder
        self.server = self._stack.enter_context(IntrospectionServer())
        asked = {"cluster": "introspection", "endpoint": self.server.endpoint}
        if discovered:
            del asked["endpoint"]
        described: Json = {
            "issuer": self.server.issuer,
            "introspection": {**asked, **(introspection or {})},
            "keys": {"timeout_seconds": 2},
            **(issuer or {}),
        }
        if discovered:
            described["cluster"] = "auth"
        configuration = {
            "issuers": [described],
            "resources": [{"resource": RESOURCE, "scopes": ["mcp:read"], **(resource or {})}],
            **more,
        }
        extra = asking_cluster(
            "introspection",
            self.server.port,
            credentials or self.server.credentials,
            directory / "secrets",
        )
        try:
            self.envoy = self._stack.enter_context(
                Envoy(
                    directory,
                    {
                        "mcp": Listener(
                            wasm=wasm,
                            configuration=configuration,
                            exact_balance=True,
                            vm_id=vm_id,
                        )
                    },
                    {"upstream": recorder.port, "auth": self.server.port},
                    concurrency=workers,
                    extra_clusters=[extra],
                    log_level="warning,wasm:debug",
                )
            )
        except BaseException:
            self._stack.close()
            raise

    def claims(self, **changes: Any) -> Json:
        return {
            "aud": RESOURCE,
            "exp": int(time.time()) + 600,
            "sub": "alice",
            "client_id": "desk",
            "scope": "mcp:read",
            "token_type": "Bearer",
            **changes,
        }

    def knows(self, token: str, **changes: Any) -> str:
        self.server.tokens[token] = active(self.claims(**changes))
        return token

    def get(self, token: str, timeout: float = 15) -> http1.Response:
        headers = [("authorization", f"Bearer {token}"), ("x-test-id", new_test_id())]
        return http1.request(self.envoy.port, "GET", "/mcp", headers, timeout=timeout)

    def judged(self, token: str) -> tuple[int, str | None]:
        test_id = new_test_id()
        headers = [("authorization", f"Bearer {token}"), ("x-test-id", test_id)]
        status = http1.request(self.envoy.port, "GET", "/mcp", headers).status
        reason = self.envoy.logged(test_id)["reason"]
        return status, reason if reason not in ("-", None) else None

    def counted(self) -> dict[str, int]:
        """Questions by their result."""
        stats = self.envoy.stats("mcp_auth_introspections_total")
        return {name.rpartition("=")[2]: value for name, value in stats.items()}

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture
def start(wasm: Path, recorder: Recorder, tmp_path: Path) -> Iterator[Callable[..., World]]:
    running: list[World] = []

    def begin(**options: Any) -> World:
        running.append(World(tmp_path / str(len(running)), wasm, recorder, **options))
        return running[-1]

    yield begin
    for world in running:
        world.envoy.check()
        world.stop()
        assert world.server.flaws == []


TOKEN = "ory_at_mgvDfVDjOmsCTFjuqAO6+/8~=="


def test_a_token_is_asked_about_once_and_the_server_learns_whose_it_is(
    start: Callable[..., World], concurrency: int
) -> None:
    world = start(workers=concurrency)
    world.knows(TOKEN)
    answers = [world.get(TOKEN) for _ in range(20)]
    assert {answer.status for answer in answers} == {200}
    headers = {name.lower(): value for name, value in answers[0].json()["headers"]}
    assert headers["x-mcp-sub"] == "alice"
    assert headers["x-mcp-client-id"] == "desk"
    assert headers["x-mcp-scope"] == "mcp:read"
    assert headers["x-mcp-issuer"] == world.server.issuer
    assert "authorization" not in headers
    assert world.server.times(TOKEN) == 1
    until(lambda: world.counted().get("active") == world.server.times(TOKEN), "the counter")
    assert TOKEN[:16] not in world.envoy.log()


def test_many_who_wait_for_one_answer(start: Callable[..., World]) -> None:
    world = start()
    world.knows(TOKEN)
    world.server.delay_seconds = 0.5
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(world.get(TOKEN).status)) for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 40
    assert world.server.times(TOKEN) == 1


def test_the_endpoint_is_found_in_whichever_document_names_it(start: Callable[..., World]) -> None:
    world = start(discovered=True)
    world.knows(TOKEN)
    assert world.judged(TOKEN) == (200, None)


REFUSALS: dict[str, tuple[Json, int, str]] = {
    "other-issuer": ({"iss": "https://evil.example"}, 401, "issuer_not_allowed"),
    "other-audience": ({"aud": "https://other.example.com/mcp"}, 401, "audience_not_allowed"),
    "no-audience": ({"aud": None}, 401, "audience_not_allowed"),
    "expired": ({"exp": 1}, 401, "expired"),
    "exp-1e300": ({"exp": 1e300}, 401, "claims_malformed"),
    "bound": ({"cnf": {"jkt": "x"}}, 401, "sender_constrained"),
    "dpop": ({"token_type": "DPoP"}, 401, "sender_constrained"),
    "refresh": ({"token_use": "refresh_token"}, 401, "not_an_access_token"),
    "no-scope": ({"scope": None}, 403, "scope_insufficient"),
}


def test_answers_that_do_not_do(start: Callable[..., World]) -> None:
    world = start()
    seen = {
        name: world.judged(world.knows(f"{name}-token-000000", **changes))
        for name, (changes, _, _) in REFUSALS.items()
    }
    assert seen == {name: (status, reason) for name, (_, status, reason) in REFUSALS.items()}
    assert world.judged("unknown-token-0000") == (401, "token_inactive")
    challenge = world.get("unknown-token-0000").header("www-authenticate") or ""
    assert challenge.startswith('Bearer error="invalid_token"')
    # A fraction, and none at all.
    exp = time.time() + 600.4836
    assert world.judged(world.knows("fraction-token-000", exp=exp)) == (200, None)
    assert world.judged(world.knows("no-end-token-00000", exp=None)) == (200, None)


def test_nobody_is_asked_about_what_is_no_token(start: Callable[..., World]) -> None:
    world = start()
    for token, reason in {
        "a": "token_malformed",
        "user:grant:secret-that-is-long": "token_malformed",
        "x" * 65536: "token_too_large",
        f"{tokens.encode(b'{}')}.{tokens.encode(b'nothing')}.AAAA": "token_malformed",
        tokens.mint({"claims": {"iss": "https://other.example", "aud": RESOURCE}}): (
            "issuer_not_allowed"
        ),
    }.items():
        assert world.judged(token) == (401, reason), token[:40]
    assert world.server.asked == []


TROUBLE: dict[str, tuple[Answer, str]] = {
    "400": ((400, b'{"error":"invalid_request"}'), "status"),
    "401": ((401, b""), "unauthorized"),
    "403": ((403, b"<html>"), "unauthorized"),
    "404": ((404, b""), "status"),
    "429": ((429, b""), "status"),
    "500": ((500, b""), "status"),
    "redirect": ((307, b'{"active":true}'), "status"),
    "html": ((200, b"<html>"), "malformed"),
    "no-active": ((200, b"{}"), "malformed"),
    "text-active": ((200, b'{"active":"true"}'), "malformed"),
    "twice": ((200, b'{"active":true,"active":true}'), "malformed"),
    "huge": ((200, b'{"active":true,"a":"' + b"x" * 10_485_760 + b'"}'), "too_large"),
    "closed": ((0, b""), "unreachable"),
}


def test_trouble_is_503_and_charged_to_its_token_alone(start: Callable[..., World]) -> None:
    world = start(introspection={"cache_seconds": 0})
    good = world.knows("good-token-0000000000")
    faults = {f"trouble-{name}-00000000": answer for name, (answer, _) in TROUBLE.items()}
    world.server.fault = faults.get
    for name in TROUBLE:
        answer = world.get(f"trouble-{name}-00000000")
        assert answer.status == 503, name
        assert answer.header("retry-after") == "1", name
        assert answer.header("www-authenticate") is None, name
        assert world.judged(good) == (200, None), name
    expected = Counter(label for _, label in TROUBLE.values())
    until(
        lambda: (
            {name: one for name, one in world.counted().items() if name != "active"} == expected
        ),
        f"{expected}, not {world.counted()}",
    )
    until(lambda: "status 429, from" in world.envoy.log(), "the log line")
    assert f'from "{world.server.endpoint}"' in world.envoy.log()


def test_wrong_credentials_are_the_operators_trouble(start: Callable[..., World]) -> None:
    world = start(credentials=basic("mcp-server", "wrong"))
    world.knows(TOKEN)
    assert world.judged(TOKEN) == (503, "introspection_unavailable")
    until(lambda: "credentials of the introspection cluster" in world.envoy.log(), "the log line")


def test_a_server_that_is_slow_dead_or_flapping(start: Callable[..., World]) -> None:
    world = start(introspection={"cache_seconds": 2})
    world.knows(TOKEN)
    assert world.judged(TOKEN) == (200, None)
    world.server.delay_seconds = 4
    other = world.knows("another-token-00000000")
    began = time.monotonic()
    assert world.judged(other) == (503, "introspection_unavailable")
    assert time.monotonic() - began < 4
    # What is known is good until its own end, and no longer.
    until(lambda: world.get(TOKEN).status == 503, "the end of the answer", timeout=15)
    world.server.delay_seconds = 0
    until(lambda: world.get(TOKEN).status == 200, "the server to be back", timeout=15)
    flaps = iter(range(1_000_000))
    world.server.fault = lambda _: (0, b"") if next(flaps) % 2 else None
    statuses = [world.get(world.knows(f"flapping-token-{n:06}")).status for n in range(20)]
    assert statuses == [200] * 20, "a reset is tried once more"


def test_a_revoked_token_dies_in_time(start: Callable[..., World], concurrency: int) -> None:
    world = start(workers=concurrency, introspection={"cache_seconds": 2})
    world.knows(TOKEN)
    statuses: list[int] = []
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            statuses.append(world.get(TOKEN).status)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(statuses) > 50, "traffic", timeout=30)
    assert set(statuses) == {200}
    world.server.tokens[TOKEN] = INACTIVE
    revoked = time.monotonic()
    # One worker may know of it before the other.
    until(lambda: set(statuses[-40:]) == {401}, "the refusal", timeout=20)
    took = time.monotonic() - revoked
    done.set()
    for thread in threads:
        thread.join()
    print(f"refused everywhere {took:.2f} s after the revocation, cache_seconds 2")
    assert took < 2 + 3
    assert set(statuses) == {200, 401}


@pytest.mark.parametrize("vm_id", ["mcp_auth", ""], ids=["shared", "each"])
def test_workers_tell_each_other_what_they_were_told(
    start: Callable[..., World], vm_id: str
) -> None:
    """Without a vm_id of its own, every plugin of the proxy could write there."""
    world = start(workers=4, vm_id=vm_id)
    world.knows(TOKEN)
    world.server.delay_seconds = 0.2
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: world.get(TOKEN).status, range(200)))
    assert set(answers) == {200}
    asked = world.server.times(TOKEN)
    print(f"{asked} questions of 4 workers, vm_id {vm_id!r}")
    assert asked == 1 if vm_id else 1 < asked <= 4


def test_a_revocation_is_seen_as_soon_by_workers_that_share(start: Callable[..., World]) -> None:
    world = start(workers=4, introspection={"cache_seconds": 1})
    world.knows(TOKEN)
    began = time.monotonic()
    done = began + 5
    with ThreadPoolExecutor(8) as pool:

        def work(_: int) -> set[int]:
            seen = set()
            while time.monotonic() < done:
                seen.add(world.get(TOKEN).status)
            return seen

        assert set().union(*pool.map(work, range(8))) == {200}
    took = time.monotonic() - began
    asked = world.server.times(TOKEN)
    print(f"{asked} questions of 4 workers in {took:.1f} s, cache_seconds 1")
    assert asked <= took + 1
    world.server.tokens[TOKEN] = INACTIVE
    until(
        lambda: {world.get(TOKEN).status for _ in range(8)} == {401}, "the refusal", timeout=20
    )


def test_a_flood_of_random_tokens_keeps_no_good_one_out(start: Callable[..., World]) -> None:
    world = start(introspection={"cache_seconds": 1})
    world.server.delay_seconds = 0.05
    good = [world.knows(f"good-token-{number:010}") for number in range(20)]
    assert {world.get(token).status for token in good} == {200}
    done = threading.Event()
    flood: Counter[int] = Counter()
    number = iter(range(10_000_000))

    def attack() -> None:
        while not done.is_set():
            flood[world.get(f"random-token-{next(number):010}").status] += 1

    statuses: Counter[int] = Counter()

    def work(mine: list[str]) -> None:
        while not done.is_set():
            for token in mine:
                statuses[world.get(token).status] += 1

    threads = [threading.Thread(target=attack) for _ in range(16)]
    threads += [threading.Thread(target=work, args=(good[at::4],)) for at in range(4)]
    for thread in threads:
        thread.start()
    time_over = time.monotonic() + 6
    until(lambda: time.monotonic() > time_over, "six seconds of it", timeout=20)
    done.set()
    for thread in threads:
        thread.join()
    print(f"good {dict(statuses)}, flood {dict(flood)}, at once {world.server.at_once}")
    assert set(statuses) == {200}
    assert set(flood) <= {401, 503} and flood[401] > 0
    assert world.server.at_once <= 16


def test_jwts_are_asked_about_as_well(start: Callable[..., World]) -> None:
    world = start(
        introspection={"tokens": "all", "cache_seconds": 1}, issuer={"jwks": tokens.jwks(["ec-1"])}
    )
    recipe = {
        "key": "ec-1",
        "claims": {"iss": world.server.issuer, "aud": RESOURCE, "scope": "mcp:read", "sub": "a"},
    }
    token = tokens.mint(recipe)
    assert world.judged(token) == (401, "token_inactive")
    world.server.tokens[token] = 200, b'{"active":true}'
    until(lambda: world.get(token).status == 200, "another question", timeout=15)
    world.server.tokens[token] = INACTIVE
    until(lambda: world.judged(token) == (401, "token_inactive"), "the end", timeout=15)
    asked = len(world.server.asked)
    forged = tokens.mint({**recipe, "damage": "signature"})
    assert world.judged(forged) == (401, "signature_invalid")
    assert len(world.server.asked) == asked


@pytest.mark.parametrize("mode", [LEGACY, MODERN], ids=["2025-11-25", "2026-07-28"])
def test_the_sdk_logs_in_with_an_opaque_token(wasm: Path, tmp_path: Path, mode: str) -> None:
    """oidc-provider issues it, and is asked about it; then the client gives it back (RFC 7009)."""
    with ExitStack() as stack:
        port = stack.enter_context(ReservedPort()).number
        url = f"http://127.0.0.1:{port}/mcp"
        issuer = stack.enter_context(AuthorizationServer(tmp_path, resources=[url], opaque=True))
        server = stack.enter_context(McpServer(tmp_path))
        introspection = {"cluster": "introspection", "cache_seconds": 1}
        configuration = {
            "issuers": [
                {"issuer": issuer.issuer, "cluster": "auth", "introspection": introspection}
            ],
            "resources": [{"resource": url, "scopes": ["mcp:read"]}],
        }
        credentials = basic("mcp-server", "for-tests-only")
        envoy = stack.enter_context(
            Envoy(
                tmp_path,
                {"mcp": Listener(wasm=wasm, configuration=configuration, port=port)},
                {"upstream": server.port, "auth": issuer.port},
                extra_clusters=[
                    asking_cluster("introspection", issuer.port, credentials, tmp_path / "secrets")
                ],
            )
        )

        async def work() -> tuple[Json, str, OAuthClientInformationFull]:
            login = Login()
            async with connect(url, mode, login) as connected:
                who = (await connected.client.call_tool("whoami", {})).structured_content
            assert login.tokens is not None and login.client is not None and who is not None
            return who, login.tokens.access_token, login.client

        who, token, client = asyncio.run(asyncio.wait_for(work(), PATIENCE))
        assert token.count(".") == 0
        assert who["x-mcp-sub"] == "alice"
        assert who["x-mcp-client-id"] == client.client_id
        assert who["x-mcp-scope"] == "mcp:read"
        assert who["x-mcp-issuer"] == issuer.issuer

        metadata = httpx.get(f"{issuer.issuer}/.well-known/openid-configuration").json()
        form = {"token": token, "client_id": client.client_id}
        secret = client.client_secret
        is_basic = client.token_endpoint_auth_method == "client_secret_basic"
        if secret and not is_basic:
            form["client_secret"] = secret
        revoked = httpx.post(
            metadata["revocation_endpoint"],
            data=form,
            auth=httpx.BasicAuth(client.client_id or "", secret) if secret and is_basic else None,
        )
        assert revoked.status_code == 200, revoked.text
        until(
            lambda: http1.get(envoy.port, "/mcp", token).status == 401,
            "the refusal",
            timeout=60,
        )
