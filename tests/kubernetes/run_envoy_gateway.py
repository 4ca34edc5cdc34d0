"""Envoy Gateway translates envoy/envoy-gateway, and a real Envoy takes its configuration from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster import EnvoyGateway
from control_plane import INTERVAL, PATIENCE, ControlPlane
from envoy_gateway import Standalone
from stage import COPY_PATH, Stage
from story import Story, assert_closed, reaches, serves_as_before
from support.waiting import until


@pytest.fixture(scope="module", params=["standalone", "cluster"])
def plane(
    request: pytest.FixtureRequest, the_stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    directory = tmp_path_factory.mktemp("envoy-gateway")
    if request.param == "standalone":
        running: ControlPlane = Standalone(the_stage, directory)
    else:
        running = EnvoyGateway(the_stage, request.getfixturevalue("api"), directory)
    try:
        running.serves()
        yield running
    finally:
        running.close()


class TestEnvoyGateway(Story):
    def test_nobody_reaches_the_authorization_server(self, stage: Stage) -> None:
        """By the route that makes its cluster."""
        for headers in ([], stage.bearer()):
            assert stage.status("/mcp-auth-keys", headers) == 403
        assert "/mcp-auth-keys" not in stage.keys.fetched()

    def test_a_sha256_in_capitals_closes_the_route(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        objects = plane.objects.copy()
        plane.set_module(objects, sha256=stage.sha256.upper())
        plane.apply(objects)
        plane.wait_for(403, stage.bearer())
        assert_closed(stage)
        plane.serves()

    def test_a_restart_without_the_modules_server_closes_the_route(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        """It fetches anew. When the server is back, a copy of the module mends it."""
        content = dict(stage.artifacts.content)
        stage.artifacts.content.clear()
        try:
            plane.stop()
            plane.start()
            plane.wait_for(403, stage.bearer())
            assert_closed(stage)
        finally:
            stage.artifacts.content.update(content)
        objects = plane.objects.copy()
        plane.set_module(objects, url=f"https://artifacts.example.com{COPY_PATH}")
        plane.apply(objects)
        plane.wait_for(200, stage.bearer())
        plane.serves()

    @pytest.mark.parametrize("what", ["a target that is not there", "an older policy for the route"])
    def test_where_it_forwards_without_the_filter_the_interlock_closes(
        self, stage: Stage, plane: ControlPlane, what: str
    ) -> None:
        objects = plane.objects.copy()
        policy = objects[plane.filter]
        if what == "a target that is not there":
            policy["spec"]["targetRefs"][0]["name"] = "not-there"
        else:
            # The older one counts; of two that are of the same second, the name decides.
            lua = {"type": "Inline", "inline": "function envoy_on_request(handle) end"}
            spec = {"targetRefs": policy["spec"]["targetRefs"], "lua": [lua]}
            metadata = {**policy["metadata"], "name": "a-policy-of-somebody-else"}
            objects.put({**policy, "metadata": metadata, "spec": spec})
            before = objects.copy()
            before.remove(plane.filter)
            plane.apply(before)
        plane.apply(objects)
        plane.wait_for(403, stage.bearer())
        assert_closed(stage)
        plane.serves()

    def test_without_the_interlock_such_a_route_is_open(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        """What the interlock is for, and why its status is worth an alert."""
        objects = plane.objects.copy()
        objects.remove(plane.filter)
        patches = objects["EnvoyPatchPolicy/mcp-auth-interlock"]["spec"]["jsonPatches"]
        patches[0]["name"] = "tcp-443"
        plane.apply(objects)
        plane.wait_for(200)
        assert reaches(stage)
        plane.serves()


IN_CLUSTER = pytest.mark.parametrize("plane", ["cluster"], indirect=True)


@IN_CLUSTER
def test_every_line_of_the_readmes_command_says_true(plane: EnvoyGateway) -> None:
    def all_true() -> bool:
        said = plane.said()
        patch = said.pop("EnvoyPatchPolicy/mcp-auth-interlock")
        return all(one["Accepted"] == ["True"] for one in said.values()) and patch == {
            "Accepted": ["True"],
            "Programmed": ["True"],
        }

    until(all_true, f"all to be True: {plane.said()}", timeout=PATIENCE, interval=INTERVAL)


@IN_CLUSTER
def test_it_serves_on_while_there_is_no_envoy_gateway(plane: EnvoyGateway) -> None:
    plane.stop()
    serves_as_before(plane.stage)
    plane.start()
    plane.serves()
