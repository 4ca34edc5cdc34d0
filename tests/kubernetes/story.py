"""What must hold at a gateway, whoever gave it its configuration."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Self

import httpx2
import pressure
import pytest
from control_plane import PATIENCE, ControlPlane
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from stage import COPY_PATH, HOST, ISSUER, METADATA, NEW_MODULE_PATH, RESOURCE, Stage
from support import browser, http1, tokens
from support.mcp_client import LEGACY, MODERN
from support.recorder import new_test_id
from support.unasked import nothing_reaches
from support.waiting import until

Json = dict[str, Any]


class Story:
    """The tests change one running gateway, one after the other, and each leaves it as it was."""

    @pytest.fixture
    def stage(self, plane: ControlPlane) -> Stage:
        return plane.stage

    def test_it_protects_the_server(self, stage: Stage) -> None:
        refused = stage.request("GET", "/mcp")
        assert refused.status == 401
        challenge = refused.header("www-authenticate") or ""
        assert f'resource_metadata="https://{HOST}{METADATA}"' in challenge
        assert 'scope="mcp"' in challenge

        document = stage.request("GET", METADATA)
        assert document.status == 200
        assert document.json()["resource"] == RESOURCE
        assert document.json()["authorization_servers"] == [ISSUER]

        for path in ("/mcp", "/mcp/messages?session=1"):
            test_id = new_test_id()
            answer = stage.request("GET", path, [*stage.bearer(), ("x-test-id", test_id)])
            assert answer.status == 200
            arrived = stage.recorder.one(test_id)
            assert arrived.target == path
            assert arrived.header("x-mcp-sub") == "alice"
            assert arrived.header("authorization") is None
        assert stage.keys.fetches() >= 1
        assert stage.status("/mcp", stage.bearer("other")) == 403

    @pytest.mark.parametrize("mode", [LEGACY, MODERN], ids=["2025-11-25", "2026-07-28"])
    def test_a_client_uses_tools(self, stage: Stage, mode: str) -> None:
        """The official SDK's, with a token, at an MCP server of the official SDK."""
        stage.upstream.turn_to(stage.mcp_server.port)
        try:
            listed, said = asyncio.run(asyncio.wait_for(_work(stage, mode), PATIENCE))
        finally:
            stage.upstream.turn_to(stage.recorder.port)
        assert "whoami" in listed
        assert said["x-mcp-sub"] == "alice"
        assert said["authorization_reached_the_server"] is False

    def test_a_preflight_is_answered_and_a_challenge_can_be_read(self, stage: Stage) -> None:
        origin = ("origin", "https://app.example")
        asks = [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")]
        for path in ("/mcp", METADATA):
            test_id = new_test_id()
            answer = stage.request("OPTIONS", path, [origin, *asks, ("x-test-id", test_id)])
            assert answer.status == 204
            assert answer.header("access-control-allow-origin") in ("*", origin[1])
            assert not stage.recorder.seen(test_id)
            assert stage.request("GET", path, [origin]).header("access-control-allow-origin")
        exposed = stage.request("GET", "/mcp", [origin]).header("access-control-expose-headers") or ""
        assert "www-authenticate" in exposed.lower()

    def test_a_page_in_a_browser_logs_in_and_works(
        self, stage: Stage, plane: ControlPlane, tmp_path: Path
    ) -> None:
        """A real browser, a real authorization server, an MCP server of the official SDK."""
        objects = plane.objects.copy()
        plane.configure(objects, _for_the_page)
        with browser.Page() as page, stage.login(page.registration("page")):
            plane.apply(objects)
            wait_for_the_new_one(plane, "page")
            stage.upstream.turn_to(stage.mcp_server.port)
            try:
                report = page.visit(
                    tmp_path,
                    {"mcp": RESOURCE, "client": "page"},
                    trusted=[stage.certificate, stage.authorization_certificate],
                    timeout=PATIENCE,
                )
            finally:
                stage.upstream.turn_to(stage.recorder.port)
        browser.check_report(report, RESOURCE, f"https://{HOST}{METADATA}")
        plane.serves()

    def test_nothing_reaches_the_server_unasked(self, stage: Stage) -> None:
        before = len(stage.recorder.everything())
        assert before
        nothing_reaches(stage.recorder, stage.connect, but=before)

    def test_envoy_refuses_escaped_slashes_and_underscores(self, stage: Stage) -> None:
        """By itself, also where no resource is."""
        assert stage.status("/x") in (403, 404)
        assert stage.status("/x%2fy") == 400
        assert stage.status("/x", [("x_mcp_sub", "bob")]) == 400
        assert stage.status("/mcp", [*stage.bearer(), ("x_mcp_sub", "bob")]) == 400

    def test_a_new_key_is_taken(self, stage: Stage, plane: ControlPlane) -> None:
        stage.keys.keys = [tokens.public_jwk("rsa-1"), tokens.public_jwk("rsa-2")]
        plane.wait_for(200, stage.bearer(key="rsa-2"))

    def test_good_requests_go_on_in_a_storm_of_bad_ones(self, stage: Stage) -> None:
        """Each on a connection of its own; and connections that never ask anything."""
        before = stage.keys.fetches()
        with Traffic(stage) as traffic:
            answers, seconds = pressure.storm(stage)
        assert set(answers) <= {401, 503}, answers
        assert answers[401] > answers[503]
        assert len(traffic.answers) > 20
        assert Counter(traffic.answers) == {200: len(traffic.answers)}
        assert stage.keys.fetches() - before <= pressure.fetches_in(seconds)
        print(f"{answers} in {seconds:.1f} s; beside them {len(traffic.answers)} good, all 200")

    def test_bodies_that_never_end_take_no_more_than_their_room(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        """Where bodies are read. Good requests go on."""
        objects = plane.objects.copy()
        plane.configure(objects, pressure.reads_bodies)
        plane.apply(objects)
        wait_for_the_new_one(plane, "bodies")
        plane.wait_for(200, stage.bearer())
        assert pressure.too_long_a_body(stage) == 413
        refused = pressure.endless_bodies(stage, "not-a-token", 20)
        assert set(refused) <= {401, 503}, refused
        assert refused[401]
        token = stage.token()
        pressure.endless_bodies(stage, token, 20)
        before = pressure.resident_bytes()
        with Traffic(stage) as traffic:
            counts = pressure.endless_bodies(stage, token, pressure.BODIES)
            after = pressure.resident_bytes()
        assert set(counts) == {408, 503}, counts
        assert Counter(traffic.answers) == {200: len(traffic.answers)}
        assert after - before < pressure.MOST_BYTES
        print(f"{counts}, {(after - before) / 2**20:.1f} MiB more; {len(traffic.answers)} good, all 200")
        plane.serves()

    def test_a_changed_configuration_is_taken(self, stage: Stage, plane: ControlPlane) -> None:
        objects = plane.objects.copy()
        plane.configure(objects, _other_scope)
        plane.apply(objects)
        plane.wait_for(403, stage.bearer())
        plane.wait_for(200, stage.bearer("other"))
        plane.serves()

    @pytest.mark.parametrize(
        "module",
        [{"sha256": "0" * 64}, {"url": "https://artifacts.example.com/not.wasm"}],
        ids=["wrong sha256", "404"],
    )
    def test_without_a_module_the_gateway_closes(
        self, stage: Stage, plane: ControlPlane, module: dict[str, str]
    ) -> None:
        """Also where a good one was before. A copy of the module mends it, and so does the earlier object."""
        objects = plane.objects.copy()
        plane.set_module(objects, **module)
        plane.apply(objects)
        plane.wait_for(403, stage.bearer())
        assert_closed(stage)
        copy = f"https://artifacts.example.com{COPY_PATH}"
        plane.set_module(objects, url=copy, sha256=stage.sha256)
        plane.apply(objects)
        plane.wait_for(200, stage.bearer())
        plane.serves()

    def test_a_new_module_beside_the_old_one_is_rolled_out(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        """As docs/operations.md says; under traffic, of which nothing is refused or lost."""
        objects = plane.objects.copy()
        url = f"https://artifacts.example.com{NEW_MODULE_PATH}"
        plane.set_module(objects, url=url, sha256=stage.new_sha256)
        plane.configure(objects, new_name)
        with Traffic(stage) as traffic:
            plane.apply(objects)
            wait_for_the_new_one(plane)
            seen = len(traffic.answers)
            until(lambda: len(traffic.answers) > seen + 20, "traffic", timeout=PATIENCE)
        assert Counter(traffic.answers) == {200: len(traffic.answers)}
        assert NEW_MODULE_PATH in stage.artifacts.asked
        plane.serves()

    def test_the_module_comes_as_an_image(self, stage: Stage, plane: ControlPlane) -> None:
        """That of a release; one of another digest closes the gateway."""
        digest = stage.artifacts.image_digest.removeprefix("sha256:")
        objects = plane.objects.copy()
        plane.set_image(objects, digest)
        plane.configure(objects, new_name)
        plane.apply(objects)
        # The configuration may be an earlier test's: it does not tell that the image is there.
        asked = stage.artifacts.asked
        until(lambda: stage.artifacts.manifests & set(asked), "the image", timeout=PATIENCE)
        wait_for_the_new_one(plane)
        plane.wait_for(200, stage.bearer())
        plane.set_image(objects, "0" * 64)
        plane.apply(objects)
        plane.wait_for(403, stage.bearer())
        plane.serves()

    def test_without_the_filter_the_interlock_closes(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        objects = plane.objects.copy()
        objects.remove(plane.filter)
        plane.apply(objects)
        plane.wait_for(403, stage.bearer())
        assert_closed(stage)
        plane.serves()

    def test_keys_of_a_server_with_another_name_are_not_taken(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        """Its certificate is from an authority that is trusted, but for another host."""
        objects = plane.objects.copy()
        # Timings of its own: keys that were fetched by others are not taken over.
        plane.configure(objects, _other_timing)
        stage.authorization_server.turn_to(stage.other_keys.port)
        try:
            plane.apply(objects)
            plane.wait_for(503, stage.bearer())
            assert stage.other_keys.fetched() == {}
        finally:
            stage.authorization_server.turn_to(stage.keys.port)
        plane.serves()

    def test_it_serves_on_after_a_restart_of_the_control_plane(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        plane.stop()
        plane.start()
        plane.wait_for(200, stage.bearer())
        plane.wait_for(401)
        # It follows what changes from then on.
        objects = plane.objects.copy()
        plane.configure(objects, _other_scope)
        plane.apply(objects)
        plane.wait_for(403, stage.bearer())
        plane.serves()


def wait_for_the_new_one(plane: ControlPlane, name: str = "new") -> None:
    """The filter with the configuration in which the resource has this name."""

    def is_new() -> bool:
        try:
            answer = plane.stage.request("GET", METADATA)
        except OSError:
            return False
        return answer.status == 200 and answer.json().get("resource_name") == name

    plane.until(is_new, "the new module")


class Traffic:
    """Requests with a token, one after the other, each on a connection of its own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ends = threading.Event()
        self.answers: list[int] = []
        """0: a connection without an answer."""
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        headers = self._stage.bearer()
        while not self._ends.wait(0.02):
            self.answers.append(self._stage.status("/mcp", headers))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()


def assert_closed(stage: Stage) -> None:
    """Nothing passes, with a token and without."""
    for path in ("/mcp", "/mcp/x", METADATA, "/"):
        for headers in ([], stage.bearer()):
            test_id = new_test_id()
            answer = stage.request("GET", path, [*headers, ("x-test-id", test_id)])
            assert answer.status in (401, 403, 404, 500, 503), f"{path}: {answer}"
            assert not stage.recorder.seen(test_id)


def serves_as_before(stage: Stage) -> None:
    for status, headers in ((200, stage.bearer()), (401, []), (403, stage.bearer("other"))):
        assert stage.status("/mcp", headers) == status


def reaches(stage: Stage, path: str = "/mcp", headers: http1.Headers = ()) -> bool:
    test_id = new_test_id()
    stage.request("GET", path, [*headers, ("x-test-id", test_id)])
    return bool(stage.recorder.seen(test_id))


async def _work(stage: Stage, mode: str) -> tuple[set[str], Json]:
    async with (
        httpx2.AsyncClient(verify=stage.tls, headers=dict(stage.bearer()), timeout=60) as http,
        Client(streamable_http_client(RESOURCE, http_client=http), mode=mode) as client,
    ):
        listed = await client.list_tools()
        answer = await client.call_tool("whoami", {})
        return {one.name for one in listed.tools}, dict(answer.structured_content or {})


def _other_scope(configuration: Json) -> None:
    configuration["resources"][0]["scopes"] = ["other"]


def new_name(configuration: Json) -> None:
    configuration["resources"][0]["name"] = "new"


def _for_the_page(configuration: Json) -> None:
    """Keys with timings of their own are fetched anew, from whoever is the issuer now."""
    configuration["issuers"][0]["keys"] = {"refresh_seconds": 598}
    configuration["resources"][0] |= {
        "name": "page",
        "scopes": ["mcp:read"],
        "operations": browser.OPERATIONS,
    }


def _other_timing(configuration: Json) -> None:
    configuration["issuers"][0]["keys"] = {"refresh_seconds": 599}
