"""The sources of an issuer's keys, and what clients see while keys cannot be had."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support import cases, http1, tokens
from support.bootstrap import Listener
from support.envoy import Envoy
from support.http1 import Response
from support.key_server import Fault, KeyServer
from support.recorder import Recorder, new_test_id
from support.waiting import until

RESOURCE = "https://mcp.example.com/mcp"

# Short where a test waits for them; every other timing is the default.
TIMINGS = {"timeout_seconds": 2, "unknown_key_cooldown_seconds": 1}

StartEnvoy = Callable[..., Envoy]


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    with KeyServer([tokens.public_jwk("rsa-1")]) as running:
        yield running


def configuration(server: KeyServer, **issuer: Any) -> dict[str, Any]:
    return {
        "issuers": [{"issuer": server.issuer, "cluster": "keys", "keys": TIMINGS, **issuer}],
        "resources": [{"resource": RESOURCE}],
    }


def start(start_envoy: StartEnvoy, server: KeyServer, concurrency: int = 1, **issuer: Any) -> Envoy:
    return start_envoy(
        configuration(server, **issuer), {"keys": server.port}, concurrency=concurrency
    )


def token(server: KeyServer, **recipe: Any) -> str:
    return tokens.mint(recipe, {"iss": server.issuer, "aud": RESOURCE, "sub": "alice"})


def call(envoy: Envoy, bearer: str) -> Response:
    return http1.get(envoy.port, "/mcp", bearer)


def check_unavailable(response: Response, reason: str = "keys_unavailable") -> None:
    """503 that tells a client to come back, and nothing that makes it log in again."""
    expected = cases.reasons()[reason]
    assert response.status == 503
    assert int(response.header("retry-after") or "") > 0
    assert response.header("www-authenticate") is None
    assert response.header("cache-control") == "no-store"
    assert response.json() == {
        "error": expected["error"],
        "error_description": expected["description"],
    }


def check_unknown(response: Response) -> None:
    assert response.status == 401
    assert response.json()["error_description"] == cases.reasons()["key_unknown"]["description"]


class TestSources:
    def test_jwks_uri(
        self, start_envoy: StartEnvoy, key_server: KeyServer, concurrency: int
    ) -> None:
        envoy = start(start_envoy, key_server, concurrency, jwks_uri=key_server.jwks_uri)
        assert call(envoy, token(key_server)).status == 200
        assert set(key_server.fetched()) == {"/keys"}, "discovery is not needed"

    @pytest.mark.parametrize("path", ["", "/tenant", "/a/b"])
    def test_rfc8414_discovery(self, start_envoy: StartEnvoy, path: str) -> None:
        with KeyServer([tokens.public_jwk("rsa-1")], path=path, openid=False) as server:
            envoy = start(start_envoy, server)
            assert call(envoy, token(server)).status == 200
            assert server.fetches(f"/.well-known/oauth-authorization-server{path}") >= 1

    @pytest.mark.parametrize("path", ["", "/tenant"])
    def test_openid_discovery(self, start_envoy: StartEnvoy, path: str) -> None:
        with KeyServer([tokens.public_jwk("rsa-1")], path=path, rfc8414=False) as server:
            assert call(start(start_envoy, server), token(server)).status == 200

    def test_issuer_with_a_trailing_slash(self, start_envoy: StartEnvoy) -> None:
        """Some providers' issuer ends in a slash, and is compared byte for byte."""
        with KeyServer([tokens.public_jwk("rsa-1")]) as server:
            server.issuer += "/"
            assert call(start(start_envoy, server), token(server)).status == 200

    def test_inline_keys(self, start_envoy: StartEnvoy, key_server: KeyServer) -> None:
        issuer = {"issuer": key_server.issuer, "jwks": tokens.jwks(["rsa-1"])}
        envoy = start_envoy({"issuers": [issuer], "resources": [{"resource": RESOURCE}]})
        assert call(envoy, token(key_server)).status == 200
        assert key_server.fetched() == {}

    def test_keys_on_another_host(self, start_envoy: StartEnvoy, key_server: KeyServer) -> None:
        with KeyServer([], jwks_uri=key_server.jwks_uri) as login:
            envoy = start_envoy(
                configuration(login, jwks_cluster="elsewhere"),
                {"keys": login.port, "elsewhere": key_server.port},
            )
            assert call(envoy, token(login)).status == 200
            assert key_server.fetches() >= 1
            assert login.fetches() == 0

    def test_keys_are_fetched_before_the_first_request(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        start(start_envoy, key_server)
        key_server.wait_for_fetches(1)


class TestFirstKeys:
    def test_requests_wait_for_slow_keys_and_go_on(
        self, start_envoy: StartEnvoy, key_server: KeyServer, recorder: Recorder, concurrency: int
    ) -> None:
        key_server.behave(delay_seconds=30)
        issuer: dict[str, Any] = {
            "keys": {**TIMINGS, "timeout_seconds": 20},
            "jwks_uri": key_server.jwks_uri,
        }
        envoy = start(start_envoy, key_server, concurrency, **issuer)
        good, forged = token(key_server), token(key_server, damage="signature")
        ids = [new_test_id() for _ in range(8)]
        with ThreadPoolExecutor(9) as pool:
            waiting = [
                pool.submit(http1.get, envoy.port, "/mcp", good, [("x-test-id", one)])
                for one in ids
            ]
            refused = pool.submit(call, envoy, forged)
            key_server.wait_for_fetches(1)
            until(lambda: _open_requests(envoy) >= 9, "all requests to wait in Envoy")
            assert not any(one.done() for one in waiting)
            assert not any(recorder.seen(one) for one in ids)
            key_server.behave()
            key_server.let_go()
            assert [one.result().status for one in waiting] == [200] * 8
            assert refused.result().status == 401

    def test_a_request_body_that_arrives_meanwhile_is_kept(
        self, start_envoy: StartEnvoy, key_server: KeyServer, recorder: Recorder
    ) -> None:
        key_server.behave(delay_seconds=30)
        issuer: dict[str, Any] = {
            "keys": {**TIMINGS, "timeout_seconds": 20},
            "jwks_uri": key_server.jwks_uri,
        }
        envoy = start(start_envoy, key_server, **issuer)
        test_id, body = new_test_id(), b"0123456789abcdef" * 16384
        headers = [("authorization", f"Bearer {token(key_server)}"), ("x-test-id", test_id)]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(http1.request, envoy.port, "POST", "/mcp", headers, body)
            until(lambda: _open_requests(envoy) >= 1, "the request to wait in Envoy")
            assert not recorder.seen(test_id)
            key_server.let_go()
            assert waiting.result().status == 200
        assert recorder.one(test_id).body == body

    def test_clients_that_leave_do_not_disturb_those_that_stay(
        self, start_envoy: StartEnvoy, key_server: KeyServer, concurrency: int
    ) -> None:
        key_server.behave(delay_seconds=30)
        issuer: dict[str, Any] = {
            "keys": {**TIMINGS, "timeout_seconds": 20},
            "jwks_uri": key_server.jwks_uri,
        }
        envoy = start(start_envoy, key_server, concurrency, **issuer)
        good = token(key_server)
        with ThreadPoolExecutor(4) as pool:
            staying = [pool.submit(call, envoy, good) for _ in range(4)]
            until(lambda: _open_requests(envoy) >= 4, "the requests to wait in Envoy")
            for _ in range(8):
                _connect_and_leave(envoy, good, staying=4)
            until(lambda: _open_requests(envoy) == 4, "Envoy to notice who left")
            key_server.let_go()
            assert [one.result().status for one in staying] == [200] * 4
        assert call(envoy, good).status == 200

    def test_a_live_update_loses_no_waiting_request(
        self, start_envoy: StartEnvoy, wasm: Path, key_server: KeyServer, concurrency: int
    ) -> None:
        """The old listener drains while its requests wait; the new one fetches for itself."""
        key_server.behave(delay_seconds=30)
        issuer = {"jwks_uri": key_server.jwks_uri, "keys": {**TIMINGS, "timeout_seconds": 20}}
        made = configuration(key_server, **issuer)
        envoy = start_envoy(
            made,
            {"keys": key_server.port},
            concurrency=concurrency,
            dynamic=True,
            drain_seconds=20,
        )
        good = token(key_server)
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(call, envoy, good) for _ in range(4)]
            until(lambda: _open_requests(envoy) >= 4, "the first requests to wait in Envoy")
            made["resources"][0]["name"] = "changed"
            envoy.update({"mcp": Listener(wasm=wasm, configuration=made)})
            waiting += [pool.submit(call, envoy, good) for _ in range(4)]
            until(lambda: _open_requests(envoy) >= 8, "all requests to wait in Envoy")
            key_server.behave()
            key_server.let_go()
            assert [one.result().status for one in waiting] == [200] * 8

    def test_no_more_wait_than_the_limit(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        key_server.behave(delay_seconds=30)
        keys = {**TIMINGS, "timeout_seconds": 20}
        limited = {
            **configuration(key_server, jwks_uri=key_server.jwks_uri, keys=keys),
            "limits": {"held_requests": 2},
        }
        envoy = start_envoy(limited, {"keys": key_server.port})
        good = token(key_server)
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(call, envoy, good) for _ in range(2)]
            until(lambda: _open_requests(envoy) >= 2, "two requests to wait in Envoy")
            check_unavailable(call(envoy, good), "too_many_waiting")
            key_server.let_go()
            assert [one.result().status for one in waiting] == [200, 200]
        assert call(envoy, good).status == 200

    def test_waiting_ends_with_503_when_the_keys_never_come(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        key_server.behave(Fault.HANG)
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        check_unavailable(call(envoy, token(key_server)))


JWKS_FAULTS = [
    Fault.HANG,
    Fault.SERVER_ERROR,
    Fault.NOT_FOUND,
    Fault.HTML,
    Fault.EMPTY_BODY,
    Fault.HUGE,
    Fault.ENDLESS,
    Fault.DRIP,
    Fault.CLOSE,
    Fault.RESET_AFTER_HEADERS,
    Fault.TRUNCATED,
    Fault.REDIRECT,
]


class TestFaults:
    @pytest.mark.parametrize("fault", JWKS_FAULTS, ids=lambda fault: fault.value)
    def test_jwks(self, start_envoy: StartEnvoy, key_server: KeyServer, fault: Fault) -> None:
        key_server.behave(fault)
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        check_unavailable(call(envoy, token(key_server)))
        key_server.behave()
        key_server.let_go()
        _until_served(envoy, key_server)

    @pytest.mark.parametrize(
        "fault", [*JWKS_FAULTS, Fault.WRONG_ISSUER], ids=lambda fault: fault.value
    )
    def test_discovery(self, start_envoy: StartEnvoy, key_server: KeyServer, fault: Fault) -> None:
        key_server.behave(fault, document="discovery")
        envoy = start(start_envoy, key_server)
        check_unavailable(call(envoy, token(key_server)))
        assert key_server.fetches() == 0, "no keys are taken from an issuer that is not proven"
        key_server.behave(document="discovery")
        key_server.let_go()
        _until_served(envoy, key_server)

    def test_connection_refused(self, start_envoy: StartEnvoy, key_server: KeyServer) -> None:
        key_server.refuse()
        envoy = start(start_envoy, key_server)
        check_unavailable(call(envoy, token(key_server)))
        key_server.listen()
        _until_served(envoy, key_server)

    def test_keys_come_as_soon_as_a_request_asks_after_an_outage(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        key_server.refuse()
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        until(
            lambda: envoy.log().count("next try in") >= 8,
            "pauses that are long by themselves",
            timeout=60,
            interval=0.2,
        )
        key_server.listen()
        until(
            lambda: call(envoy, token(key_server)).status == 200,
            "a good token to be served",
            timeout=4,
            interval=0.1,
        )

    def test_an_empty_set_refuses_nobody_as_forged(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        key_server.behave(Fault.EMPTY_SET)
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        check_unavailable(call(envoy, token(key_server)))
        key_server.behave()
        _until_served(envoy, key_server)

    def test_content_type_does_not_matter(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        """Providers serve application/jwk-set+json, application/json and text/plain."""
        key_server.behave(Fault.WRONG_CONTENT_TYPE)
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        assert call(envoy, token(key_server)).status == 200

    @pytest.mark.parametrize(
        "fault", [Fault.SERVER_ERROR, Fault.EMPTY_SET, Fault.HTML], ids=lambda fault: fault.value
    )
    def test_known_keys_outlive_a_failed_refresh(
        self, start_envoy: StartEnvoy, key_server: KeyServer, fault: Fault
    ) -> None:
        issuer: dict[str, Any] = {
            "jwks_uri": key_server.jwks_uri,
            "keys": {**TIMINGS, "refresh_seconds": 1},
        }
        envoy = start(start_envoy, key_server, **issuer)
        assert call(envoy, token(key_server)).status == 200
        key_server.behave(fault)
        key_server.wait_for_fetches(key_server.fetches() + 2, timeout=20)
        assert call(envoy, token(key_server)).status == 200

    def test_one_odd_key_does_not_spoil_the_set(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        odd: list[dict[str, Any]] = [
            {"kty": "unheard-of", "kid": "odd-1"},
            {"kty": "RSA", "kid": "odd-2", "n": "!!!", "e": "AQAB"},
            {"kty": "EC", "kid": "odd-3", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
            {"kty": "oct", "kid": "odd-4", "k": "c2VjcmV0"},
        ]
        key_server.keys = [*odd, tokens.public_jwk("rsa-1")]
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        assert call(envoy, token(key_server)).status == 200


class TestRotation:
    def test_an_unknown_key_is_fetched_once(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        assert call(envoy, token(key_server)).status == 200
        key_server.keys = [tokens.public_jwk("rsa-1"), tokens.public_jwk("rsa-2")]
        _wait_out_the_cooldown()
        before = key_server.fetches()
        assert call(envoy, token(key_server, key="rsa-2")).status == 200
        assert call(envoy, token(key_server, key="rsa-2")).status == 200
        assert call(envoy, token(key_server)).status == 200
        assert key_server.fetches() - before == 1

    def test_a_key_replaced_under_its_kid_is_used_at_once(
        self, start_envoy: StartEnvoy, key_server: KeyServer, concurrency: int
    ) -> None:
        envoy = start(start_envoy, key_server, concurrency, jwks_uri=key_server.jwks_uri)
        assert call(envoy, token(key_server)).status == 200
        key_server.keys = [{**tokens.public_jwk("rsa-2"), "kid": "rsa-1"}]
        _wait_out_the_cooldown()
        before = key_server.fetches()
        new = token(key_server, key="rsa-2", header={"kid": "rsa-1"})
        assert call(envoy, new).status == 200
        assert call(envoy, new).status == 200
        assert key_server.fetches() - before == 1
        # The other worker looks once a second. The key was withdrawn, or may be a new one.
        old = token(key_server)
        until(lambda: call(envoy, old).status in (401, 503), "the old key to be gone")

    def test_forged_tokens_cost_one_fetch_per_cooldown_and_good_ones_nothing(
        self, start_envoy: StartEnvoy, key_server: KeyServer, concurrency: int
    ) -> None:
        keys = {**TIMINGS, "unknown_key_cooldown_seconds": 60}
        envoy = start(
            start_envoy, key_server, concurrency, jwks_uri=key_server.jwks_uri, keys=keys
        )
        good = token(key_server)
        assert call(envoy, good).status == 200
        before = key_server.fetches()
        for number in range(40):
            forged = token(key_server, damage="signature", claims={"jti": str(number)})
            refused = call(envoy, forged)
            if number == 0:
                assert refused.status == 401
            else:
                check_unavailable(refused, "key_pending")
            assert call(envoy, good).status == 200
        assert key_server.fetches() - before == 1

    def test_a_set_without_kid_has_the_keys_of_any_token(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        bare = {**tokens.public_jwk("rsa-1")}
        bare.pop("kid")
        key_server.keys = [bare]
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        assert call(envoy, token(key_server)).status == 200

    def test_a_key_that_nobody_has_is_refused_after_one_fetch(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        keys = {**TIMINGS, "unknown_key_cooldown_seconds": 60}
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri, keys=keys)
        assert call(envoy, token(key_server)).status == 200
        before = key_server.fetches()
        for number in range(20):
            stranger = token(key_server, key="rsa-other", header={"kid": f"stranger-{number}"})
            refused = call(envoy, stranger)
            if number == 0:
                first = stranger
                check_unknown(refused)
            else:  # of these nobody has asked the issuer yet
                check_unavailable(refused, "key_pending")
            check_unknown(call(envoy, first))
        assert key_server.fetches() - before <= 1
        assert call(envoy, token(key_server)).status == 200

    def test_a_key_that_has_left_the_set_is_refused(
        self, start_envoy: StartEnvoy, key_server: KeyServer, concurrency: int
    ) -> None:
        issuer: dict[str, Any] = {
            "jwks_uri": key_server.jwks_uri,
            "keys": {**TIMINGS, "refresh_seconds": 1},
        }
        envoy = start(start_envoy, key_server, concurrency, **issuer)
        old = token(key_server)
        assert call(envoy, old).status == 200
        key_server.keys = [tokens.public_jwk("rsa-2")]
        until(
            lambda: [call(envoy, old).status for _ in range(8)] == [401] * 8,
            "every worker to refuse the old key",
            timeout=20,
            interval=0.2,
        )
        assert call(envoy, token(key_server, key="rsa-2")).status == 200

    def test_known_keys_answer_while_a_refresh_hangs(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri)
        assert call(envoy, token(key_server)).status == 200
        key_server.behave(Fault.HANG)
        _wait_out_the_cooldown()
        before = key_server.fetches()
        with ThreadPoolExecutor(1) as pool:
            stranger = pool.submit(call, envoy, token(key_server, key="rsa-other"))
            key_server.wait_for_fetches(before + 1)
            assert call(envoy, token(key_server)).status == 200
            key_server.let_go()
            assert stranger.result().status in (401, 503)


class TestWorkers:
    """Four workers and the main thread of one Envoy: they share what one of them fetches."""

    def test_a_cold_start_costs_one_fetch(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        envoy = start(start_envoy, key_server, 4)
        assert _statuses(envoy, token(key_server)) == {200}
        assert key_server.fetched() == {
            "/.well-known/oauth-authorization-server": 1,
            "/keys": 1,
        }

    def test_requests_of_every_worker_wait_for_one_fetch(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        key_server.behave(delay_seconds=30)
        keys = {**TIMINGS, "timeout_seconds": 20}
        envoy = start(start_envoy, key_server, 4, jwks_uri=key_server.jwks_uri, keys=keys)
        good = token(key_server)
        with ThreadPoolExecutor(32) as pool:
            waiting = [pool.submit(call, envoy, good) for _ in range(32)]
            until(lambda: _open_requests(envoy) >= 32, "all requests to wait in Envoy")
            assert envoy.stat("wasmcustom.mcp_auth_held_requests") == 32
            key_server.behave()
            key_server.let_go()
            assert [one.result().status for one in waiting] == [200] * 32
        assert key_server.fetches() == 1
        until(lambda: envoy.stat("wasmcustom.mcp_auth_held_requests") == 0, "nobody to wait")

    def test_a_rotation_costs_one_fetch(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        envoy = start(start_envoy, key_server, 4, jwks_uri=key_server.jwks_uri)
        assert _statuses(envoy, token(key_server)) == {200}
        key_server.keys = [tokens.public_jwk("rsa-2")]
        _wait_out_the_cooldown()
        assert _statuses(envoy, token(key_server, key="rsa-2")) == {200}
        assert key_server.fetches() == 2
        until(
            lambda: 200 not in _statuses(envoy, token(key_server)),
            "every worker to refuse the old key",
        )

    def test_an_outage_costs_one_try_at_a_time(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        key_server.behave(Fault.SERVER_ERROR)
        envoy = start(start_envoy, key_server, 4, jwks_uri=key_server.jwks_uri)
        assert _statuses(envoy, token(key_server)) == {503}
        key_server.wait_for_fetches(3)
        times = key_server.fetch_times()
        assert all(after - before > 0.9 for before, after in pairwise(times)), times

    def test_a_live_update_costs_no_fetch(
        self, start_envoy: StartEnvoy, wasm: Path, key_server: KeyServer
    ) -> None:
        made = configuration(key_server)
        envoy = start_envoy(made, {"keys": key_server.port}, concurrency=4, dynamic=True)
        assert _statuses(envoy, token(key_server)) == {200}
        before = key_server.fetched()
        made["resources"][0]["name"] = "changed"
        envoy.update({"mcp": Listener(wasm=wasm, configuration=made)})
        assert _statuses(envoy, token(key_server)) == {200}
        assert key_server.fetched() == before

    def test_without_a_vm_id_nothing_is_shared(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        """Every plugin of the proxy that has no vm_id could write there."""
        envoy = start_envoy(
            configuration(key_server, jwks_uri=key_server.jwks_uri),
            {"keys": key_server.port},
            concurrency=2,
            listener={"vm_id": ""},
        )
        assert _statuses(envoy, token(key_server)) == {200}
        assert key_server.fetches() == 3, "two workers and the main thread"

    def test_a_key_servers_max_age_is_heeded(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        key_server.behave(cache_control="public, max-age=90")
        envoy = start(start_envoy, key_server, 2, jwks_uri=key_server.jwks_uri)
        until(lambda: "1 keys fetched, fresh for 90 s" in envoy.log(), "the log to say so")


class TestStale:
    def test_keys_older_than_the_bound_are_not_used(
        self, start_envoy: StartEnvoy, key_server: KeyServer
    ) -> None:
        keys = {**TIMINGS, "refresh_seconds": 1, "max_stale_seconds": 2}
        envoy = start(start_envoy, key_server, jwks_uri=key_server.jwks_uri, keys=keys)
        assert call(envoy, token(key_server)).status == 200
        key_server.refuse()
        stale = until(
            lambda: next((r for r in [call(envoy, token(key_server))] if r.status != 200), None),
            "the keys to be too old",
            timeout=20,
            interval=0.2,
        )
        check_unavailable(stale, "keys_stale")
        key_server.listen()
        _until_served(envoy, key_server)


def _until_served(envoy: Envoy, server: KeyServer) -> None:
    """The filter comes back by itself once the key server does; no 401 on the way."""

    def served() -> bool:
        response = call(envoy, token(server))
        if response.status != 200:
            assert response.status == 503
        return response.status == 200

    until(served, "good tokens to be served again", timeout=30, interval=0.2)


def _statuses(envoy: Envoy, bearer: str) -> set[int]:
    """Over enough connections that every worker answers some."""
    with ThreadPoolExecutor(16) as pool:
        return {response.status for response in pool.map(lambda _: call(envoy, bearer), range(64))}


def _open_requests(envoy: Envoy) -> int:
    return envoy.stat("http.mcp.downstream_rq_active")


def _connect_and_leave(envoy: Envoy, bearer: str, staying: int) -> None:
    sent = http1.encode("GET", "/mcp", [("authorization", f"Bearer {bearer}")], host="127.0.0.1")
    with socket.create_connection(("127.0.0.1", envoy.port)) as connection:
        connection.sendall(sent)
        until(lambda: _open_requests(envoy) > staying, "the request to arrive")


def _wait_out_the_cooldown() -> None:
    """The cooldown of TIMINGS runs on the filter's own clock: there is no condition to watch."""
    threading.Event().wait(TIMINGS["unknown_key_cooldown_seconds"] + 0.2)
