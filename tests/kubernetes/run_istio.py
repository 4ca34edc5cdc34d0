"""Istio translates envoy/istio in each way, and its agent and a real Envoy take it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from control_plane import ControlPlane
from istio_alone import Alone
from istio_ways import WAYS
from stage import Stage
from story import Story


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: way.name)
def plane(
    request: pytest.FixtureRequest, the_stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    running = Alone(the_stage, request.param, tmp_path_factory.mktemp("istio"))
    try:
        running.serves()
        yield running
    finally:
        running.close()


class TestIstio(Story):
    # By what Istio's agent puts in the filter's place.
    REFUSED_WITHOUT_MODULE = (403,)

    def test_it_serves_on_while_there_is_no_istiod(
        self, stage: Stage, plane: ControlPlane
    ) -> None:
        plane.stop()
        for status, headers in ((200, stage.bearer()), (401, []), (403, stage.bearer("other"))):
            assert stage.status("/mcp", headers) == status
        plane.start()
        plane.serves()


@pytest.mark.parametrize("plane", [one for one in WAYS if one.gateway_api], indirect=True, ids=lambda way: way.name)  # fmt: skip
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
