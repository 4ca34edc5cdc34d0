"""The manifests of envoy/istio, in each way that they offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane import ControlPlane, Objects, in_json
from stage import IMAGE_NAME, IMAGE_TAG
from support.manifests import ISTIO, documents

Json = dict[str, Any]

SELECTORS = ("selector", "workloadSelector")
TARGET = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "mcp"}


@dataclass(frozen=True)
class Way:
    """`account` and `labels`: those of the gateway's pod."""

    name: str
    filter: str
    files: tuple[str, ...]
    account: str = "istio-ingress"
    labels: tuple[tuple[str, str], ...] = (("istio", "ingress"),)
    connection_settings: bool = False
    """By values-gateway.yaml, in place of connection-manager.yaml."""

    @property
    def gateway_api(self) -> bool:
        return "gateway-api" in self.files


_COMMON = ("keys", "interlock", "server")
WAYS = [
    Way("traffic-extension", "TrafficExtension/mcp-auth", ("gateway", "filter", "connection-manager", *_COMMON)),
    Way("wasm-plugin", "WasmPlugin/mcp-auth", ("gateway", "filter-wasmplugin", *_COMMON), connection_settings=True),
    Way("envoy-filter", "EnvoyFilter/mcp-auth", ("gateway", "filter-envoyfilter", "connection-manager", *_COMMON)),
    Way(
        "gateway-api",
        "TrafficExtension/mcp-auth",
        ("gateway-api", "filter", "connection-manager", *_COMMON),
        account="mcp-istio",
        labels=(("gateway.networking.k8s.io/gateway-name", "mcp"),),
    ),
]  # fmt: skip


class Shipped(ControlPlane):
    way: Way

    @property
    def filter(self) -> str:  # type: ignore[override]
        return self.way.filter

    def shipped(self) -> Objects:
        objects = Objects(_documents(ISTIO / f"{one}.yaml" for one in self.way.files))
        if self.way.gateway_api:
            # As the comments there say.
            for name in ("TrafficExtension/mcp-auth", "EnvoyFilter/mcp-auth-interlock", "EnvoyFilter/mcp-auth-connection-manager"):  # fmt: skip
                spec = objects[name]["spec"]
                for one in SELECTORS:
                    spec.pop(one, None)
                spec["targetRefs"] = [TARGET]
            (rule,) = objects["AuthorizationPolicy/mcp-server"]["spec"]["rules"]
            rule["from"][0]["source"]["principals"] = [f"cluster.local/ns/istio-ingress/sa/{self.way.account}"]  # fmt: skip
        self.set_module(objects, sha256=self.stage.sha256)
        return objects

    def set_module(self, objects: Objects, **fields: str) -> None:
        spec = objects[self.filter]["spec"]
        match self.filter.split("/")[0]:
            case "TrafficExtension":
                spec["wasm"] |= fields
            case "WasmPlugin":
                spec |= fields
            case _:
                remote = _plugin(spec)["vm_config"]["code"]["remote"]
                if "sha256" in fields:
                    remote["sha256"] = fields["sha256"]
                if "url" in fields:
                    remote["http_uri"]["uri"] = fields["url"]

    def _change(self, objects: Objects) -> bool:
        """Where istiod is too slow to join them, a changed WasmPlugin is pushed twice, at first as it was. The agent
        converts both side by side, and the older may come last; it then stays until something changes."""
        if self.way.name != "wasm-plugin":
            return False
        spec = objects[self.filter]["spec"]
        spec["priority"] = spec.get("priority", 0) + 1
        return True

    def set_image(self, objects: Objects, digest: str) -> None:
        url = f"oci://artifacts.example.com/{IMAGE_NAME}:{IMAGE_TAG}"
        self.set_module(objects, url=url, sha256=digest)

    def configure(self, objects: Objects, change: Callable[[Json], None]) -> None:
        spec = objects[self.filter]["spec"]
        match self.filter.split("/")[0]:
            case "TrafficExtension":
                change(spec["wasm"]["pluginConfig"])
            case "WasmPlugin":
                change(spec["pluginConfig"])
            case _:
                configuration = _plugin(spec)["configuration"]
                configuration["value"] = in_json(configuration["value"], change)


def _documents(files: Iterable[Path]) -> Iterable[Json]:
    return (one for file in files for one in documents(file))


def _plugin(spec: Json) -> Json:
    return spec["configPatches"][1]["patch"]["value"]["typed_config"]["config"]
