"""Istio translates envoy/istio in each way, and its agent and a real Envoy take it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from api_server import Refused
from cluster import Istio
from control_plane import ControlPlane
from istio_alone import Alone
from istio_ways import WAYS, Way
from stage import IMAGE_NAME, ISSUER, Stage
from story import Story, new_name, serves_as_before, wait_for_the_new_one
from support import tokens
from support.manifests import ISTIO, documents, named

PLANES = [(where, way) for where in ("alone", "cluster") for way in WAYS]


def identifier(plane: tuple[str, Way]) -> str:
    return f"{plane[0]}-{plane[1].name}"


@pytest.fixture(scope="module", params=PLANES, ids=identifier)
def plane(
    request: pytest.FixtureRequest, the_stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    where, way = request.param
    directory = tmp_path_factory.mktemp("istio")
    if where == "alone":
        running: ControlPlane = Alone(the_stage, way, directory)
    else:
        running = Istio(the_stage, request.getfixturevalue("api"), way, directory)
    try:
        running.serves()
        yield running
    finally:
        running.close()


class TestIstio(Story):
    def test_it_serves_on_while_there_is_no_istiod(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        plane.stop()
        serves_as_before(stage)
        plane.start()
        plane.serves()

    def test_beside_istios_own_authentication(self, stage: Stage, plane: ControlPlane) -> None:
        """It sees no token behind the filter, and takes it away in front of it, unless told otherwise."""
        objects = plane.objects.copy()
        rule = {"issuer": ISSUER, "jwks": json.dumps(tokens.jwks(["rsa-1"]))}
        objects.put(_own(plane, "RequestAuthentication", {"jwtRules": [rule]}))
        if plane.way.name == "envoy-filter":
            plane.apply(objects)
            plane.wait_for(401, stage.bearer())
            rule["forwardOriginalToken"] = True
        else:
            known = {"from": [{"source": {"requestPrincipals": ["*"]}}]}
            objects.put(_own(plane, "AuthorizationPolicy", {"action": "ALLOW", "rules": [known]}))
            plane.apply(objects)
            plane.wait_for(403, stage.bearer())
            plane.configure(objects, _forward)
        plane.apply(objects)
        plane.wait_for(200, stage.bearer())
        plane.serves()


def _own(plane: ControlPlane, kind: str, spec: dict) -> dict:
    """An object of Istio's security for the gateway."""
    gateway = plane.objects["EnvoyFilter/mcp-auth-interlock"]["spec"]
    if "targetRefs" in gateway:
        spec["targetRefs"] = gateway["targetRefs"]
    else:
        spec["selector"] = {"matchLabels": gateway["workloadSelector"]["labels"]}
    metadata = {"name": "own", "namespace": "istio-ingress"}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _forward(configuration: dict) -> None:
    configuration["resources"][0]["forward_token"] = True


@pytest.mark.parametrize(
    "plane", [one for one in PLANES if one[1].gateway_api], indirect=True, ids=identifier
)
def test_by_gateway_api_an_interlock_with_a_selector_is_not_there(plane: ControlPlane) -> None:
    """As interlock.yaml says: it needs `targetRefs` then."""
    objects = plane.objects.copy()
    objects.remove(plane.filter)
    spec = objects["EnvoyFilter/mcp-auth-interlock"]["spec"]
    del spec["targetRefs"]
    spec["workloadSelector"] = {"labels": {"istio": "ingress"}}
    plane.apply(objects)
    plane.wait_for(200)
    plane.serves()


@pytest.mark.parametrize("plane", [PLANES[-1]], indirect=True, ids=identifier)
def test_its_webhook_warns_of_what_an_envoy_filter_leaves_out(plane: Istio) -> None:
    """It takes the manifests. Of an EnvoyFilter it refuses types alone: an unknown field is a warning."""
    with plane.webhook() as api:
        for file in sorted(ISTIO.glob("*.yaml")):
            for one in documents(file):
                if "istio.io" in one.get("apiVersion", ""):
                    assert not [said for said in api.apply_one(one, dry=True) if "unknown" in said]

        wrong = named([ISTIO / "interlock.yaml"], "EnvoyFilter")
        rules = wrong["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
        rules["acton"] = rules.pop("rules")
        (warning,) = [said for said in api.apply_one(wrong, dry=True) if "unknown" in said]
        assert "acton" in warning
        rules["@type"] = "type.googleapis.com/not.there"
        with pytest.raises(Refused, match=r"not\.there"):
            api.apply_one(wrong, dry=True)


@pytest.mark.parametrize("plane", [PLANES[0]], indirect=True, ids=identifier)
def test_an_image_by_its_digest(plane: ControlPlane) -> None:
    """In the URL, and without `sha256`, as the README has it."""
    stage = plane.stage
    objects = plane.objects.copy()
    url = f"oci://artifacts.example.com/{IMAGE_NAME}@{stage.artifacts.image_digest}"
    plane.set_module(objects, url=url)
    del objects[plane.filter]["spec"]["wasm"]["sha256"]
    plane.configure(objects, new_name)
    plane.apply(objects)
    wait_for_the_new_one(plane)
    plane.wait_for(200, stage.bearer())
    plane.serves()
