"""An API server takes every manifest, and control planes that read them from it drive a real Envoy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_server import ApiServer, Refused
from cluster import EnvoyGateway, Istio, namespaces
from control_plane import INTERVAL, PATIENCE
from istio_agent import PROGRAMS
from istio_ways import WAYS
from stage import Stage
from story import Story
from support.manifests import ENVOY_GATEWAY, ISTIO, documents, named
from support.waiting import until

MANIFESTS = [
    (file, one)
    for folder in (ISTIO, ENVOY_GATEWAY)
    for file in sorted(folder.glob("*.yaml"))
    if not file.name.startswith("values")
    for one in documents(file)
]
WRONG: list[tuple[Path, str, Callable[[dict], object], str]] = [
    (ISTIO / "gateway.yaml", "VirtualService", lambda spec: spec["http"][0].update(timeout="0s"), "greater than 1ms"),
    (ISTIO / "filter.yaml", "TrafficExtension", lambda spec: spec["wasm"].update(failPolicy="x"), "failPolicy"),
    (ENVOY_GATEWAY / "filter.yaml", "EnvoyExtensionPolicy", lambda spec: spec["wasm"][0].update(failPolicy="x"), "failPolicy"),
    (ENVOY_GATEWAY / "keys.yaml", "BackendTLSPolicy", lambda spec: spec["validation"].pop("wellKnownCACertificates"), "must specify"),
]  # fmt: skip


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path_factory.mktemp("kubernetes"))
    try:
        server.define(sorted((PROGRAMS / "crds").iterdir()))
        for one in namespaces("istio-ingress", "mcp"):
            server.apply_one(one)
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("file", "manifest"), MANIFESTS, ids=[f"{file.parent.name}/{file.stem}:{one['kind']}" for file, one in MANIFESTS]
)  # fmt: skip
def test_it_takes_every_manifest(api: ApiServer, file: Path, manifest: dict) -> None:
    """Strictly: an unknown field would be an error."""
    assert api.apply_one(manifest, dry=True) == []


@pytest.mark.parametrize(("file", "kind", "change", "said"), WRONG, ids=[one[1] for one in WRONG])
def test_it_refuses_wrong_ones(
    api: ApiServer, file: Path, kind: str, change: Callable[[dict], object], said: str
) -> None:
    manifest = named([file], kind)
    change(manifest["spec"])
    with pytest.raises(Refused, match=said):
        api.apply_one(manifest, dry=True)


class TestEnvoyGateway(Story):
    REFUSED_WITHOUT_MODULE = (403, 500)

    @pytest.fixture(scope="class")
    def plane(
        self, the_stage: Stage, api: ApiServer, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[EnvoyGateway]:
        running = EnvoyGateway(the_stage, api, tmp_path_factory.mktemp("envoy-gateway"))
        try:
            running.serves()
            yield running
        finally:
            running.close()

    def test_every_line_of_the_readmes_command_says_true(self, plane: EnvoyGateway) -> None:
        def all_true() -> bool:
            said = plane.said()
            patch = said.pop("EnvoyPatchPolicy/mcp-auth-interlock")
            return all(one["Accepted"] == ["True"] for one in said.values()) and patch == {
                "Accepted": ["True"],
                "Programmed": ["True"],
            }

        until(all_true, f"all to be True: {plane.said()}", timeout=PATIENCE, interval=INTERVAL)

    def test_it_serves_on_while_there_is_no_envoy_gateway(
        self, stage: Stage, plane: EnvoyGateway
    ) -> None:
        plane.stop()
        for status, headers in ((200, stage.bearer()), (401, []), (403, stage.bearer("other"))):
            assert stage.status("/mcp", headers) == status
        plane.start()
        plane.serves()


@pytest.mark.parametrize("plane", WAYS, ids=lambda way: way.name, indirect=True, scope="class")
class TestIstio(Story):
    REFUSED_WITHOUT_MODULE = (403,)

    @pytest.fixture(scope="class")
    def plane(
        self,
        request: pytest.FixtureRequest,
        the_stage: Stage,
        api: ApiServer,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Istio]:
        running = Istio(the_stage, api, request.param, tmp_path_factory.mktemp("istio"))
        try:
            running.serves()
            yield running
        finally:
            running.close()

    def test_it_serves_on_while_there_is_no_istiod(self, stage: Stage, plane: Istio) -> None:
        plane.stop()
        for status, headers in ((200, stage.bearer()), (401, []), (403, stage.bearer("other"))):
            assert stage.status("/mcp", headers) == status
        plane.start()
        plane.serves()
