"""The configuration that Istio and Envoy Gateway made of the manifests, for an Envoy of this machine.

`tests/recorded/` has what their control planes gave to an Envoy. Of it this is changed: addresses, certificates and
secrets; what is taken over from the manifests word for word (the filter's configuration, the interlock, what
connection-manager.yaml merges in, what a VirtualService matches), which are those of today; and filters that
only Istio's own Envoy has.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import paths
from .bootstrap import socket_address
from .manifests import ENVOY_GATEWAY, ISTIO, named

Json = dict[str, Any]

HOST = "mcp.example.com"
RECORDED = paths.REPOSITORY / "tests" / "recorded"

_TYPE = "type.googleapis.com"
_WASM = f"{_TYPE}/envoy.extensions.filters.http.wasm.v3.Wasm"
_STRING = f"{_TYPE}/google.protobuf.StringValue"
_INTERLOCK = "mcp_auth_interlock"


@dataclass(frozen=True)
class Server:
    """A server of this machine that stands for one of the manifests."""

    port: int
    trusted: Path | None = None
    """The file of CAs that its certificate is checked against, where it speaks TLS."""


@dataclass(frozen=True)
class Parts:
    """The servers on this machine that stand for those of the manifests."""

    directory: Path
    wasm: Path
    certificate: Path
    """The gateway's own, with its key beside it."""
    upstream: Server
    authorization_server: Server
    modules: int
    """The port of a server that has the module."""
    switched_on: bool = True
    """False: the filter is in the chain, and never asked, as where Envoy could not set it up."""


@dataclass(frozen=True)
class Recording:
    name: str
    configuration: Callable[[], Json]
    """The filter's, in the manifest."""
    interlock: Callable[[], Json]
    upstream: str
    keys: str
    """Names of clusters."""
    merged: Callable[[], Json] = dict
    """Fields merged into the connection manager since it was recorded."""
    matches: Callable[[], list[Json]] | None = None
    """Matches of the routes, where these have changed since."""


def _istio(
    name: str,
    configuration: Callable[[], Json],
    matches: Callable[[], list[Json]] | None = None,
) -> Recording:
    return Recording(
        name,
        configuration,
        lambda: _patched(ISTIO / "interlock.yaml")["typed_config"],
        "outbound|3000||mcp-server.mcp.svc.cluster.local",
        "outbound|443||auth.example.com",
        lambda: _patched(ISTIO / "connection-manager.yaml")["typed_config"],
        matches,
    )


def _virtual_service() -> list[Json]:
    (rule,) = named([ISTIO / "gateway.yaml"], "VirtualService")["spec"]["http"]
    return [
        {{"exact": "path", "prefix": "prefix"}[how]: value, "case_sensitive": True}
        for match in rule["match"]
        for how, value in match["uri"].items()
    ]


def _patched(file: Path) -> Json:
    (patch,) = named([file], "EnvoyFilter")["spec"]["configPatches"]
    return patch["patch"]["value"]


def _traffic_extension() -> Json:
    return named([ISTIO / "filter.yaml"], "TrafficExtension")["spec"]["wasm"]["pluginConfig"]


def _wasm_plugin() -> Json:
    return named([ISTIO / "filter-wasmplugin.yaml"], "WasmPlugin")["spec"]["pluginConfig"]


def _envoy_filter() -> Json:
    patches = named([ISTIO / "filter-envoyfilter.yaml"], "EnvoyFilter")["spec"]["configPatches"]
    value = patches[1]["patch"]["value"]
    return json.loads(value["typed_config"]["config"]["configuration"]["value"])


def _extension_policy() -> Json:
    (wasm,) = named([ENVOY_GATEWAY / "filter.yaml"], "EnvoyExtensionPolicy")["spec"]["wasm"]
    return wasm["config"]


def _gateways_interlock() -> Json:
    policy = named([ENVOY_GATEWAY / "interlock.yaml"], "EnvoyPatchPolicy")
    (patch,) = policy["spec"]["jsonPatches"]
    return patch["operation"]["value"]["typed_config"]


RECORDINGS = {
    one.name: one
    for one in (
        _istio("istio-traffic-extension", _traffic_extension, _virtual_service),
        _istio("istio-wasm-plugin", _wasm_plugin, _virtual_service),
        _istio("istio-envoy-filter", _envoy_filter, _virtual_service),
        _istio("istio-gateway-api", _traffic_extension),
        Recording(
            "envoy-gateway",
            _extension_policy,
            _gateways_interlock,
            "httproute/mcp/mcp/rule/0",
            "httproute/mcp/mcp-auth-keys/rule/0",
        ),
    )
}


def bootstrap(name: str, parts: Parts) -> str:
    """Envoy's bootstrap with this recording's resources, on a free port."""
    recording = RECORDINGS[name]
    recorded = json.loads((RECORDED / f"{name}.json").read_text())
    (listener,) = recorded["LISTENER"]
    listener["address"] = socket_address(0)
    (chain,) = listener["filter_chains"]
    (network_filter,) = chain["filters"]
    manager = network_filter["typed_config"]
    manager |= {key: one for key, one in recording.merged().items() if key != "@type"}
    wanted = manager.pop("rds")["route_config_name"]
    (manager["route_config"],) = (one for one in recorded["ROUTE"] if one["name"] == wanted)
    if recording.matches is not None:
        (host,) = manager["route_config"]["virtual_hosts"]
        route = host["routes"][0]
        host["routes"] = [{**route, "match": match} for match in recording.matches()]
    manager["http_filters"] = [
        _http_filter(one, recording, recorded, parts)
        for one in manager["http_filters"]
        if not one["name"].startswith("istio.")
    ]
    if not parts.switched_on:
        _switch_off(manager)
    clusters = [_cluster(one, recording, recorded, parts) for one in recorded["CLUSTER"]]
    resources = {"listeners": [listener], "clusters": clusters}
    resources["secrets"] = list(_secrets(resources, parts))
    return json.dumps(
        {"node": {"id": "test", "cluster": "test"}, "static_resources": resources}, indent=1
    )


def _http_filter(one: Json, recording: Recording, recorded: Json, parts: Parts) -> Json:
    if one["name"] == _INTERLOCK:
        return {**one, "typed_config": recording.interlock()}
    if "config_discovery" in one:
        (extension,) = (found for found in recorded["EXTENSION"] if found["name"] == one["name"])
        _set_up(extension["typed_config"], recording, parts)
        file = parts.directory / "extension.json"
        resource = {"@type": f"{_TYPE}/envoy.config.core.v3.TypedExtensionConfig", **extension}
        file.write_text(json.dumps({"resources": [resource]}))
        source = one["config_discovery"]["config_source"]
        del source["ads"]
        source["path_config_source"] = {"path": str(file)}
    elif one["typed_config"]["@type"] == _WASM:
        _set_up(one["typed_config"], recording, parts)
    return one


def _set_up(plugin: Json, recording: Recording, parts: Parts) -> None:
    config = plugin["config"]
    recorded = config["configuration"]
    assert recorded["@type"] == _STRING
    # The same but for what has changed in the manifest since.
    assert json.loads(recorded["value"]).keys() <= recording.configuration().keys()
    recorded["value"] = json.dumps(recording.configuration())
    remote = config["vm_config"]["code"]["remote"]
    if remote["http_uri"]["cluster"] == "_":
        # Istio's agent fetches it, and gives Envoy a local file.
        config["vm_config"]["code"] = {"local": {"filename": str(parts.wasm)}}
        return
    remote["http_uri"]["uri"] = f"http://127.0.0.1:{parts.modules}/{parts.wasm.name}"
    remote["sha256"] = hashlib.sha256(parts.wasm.read_bytes()).hexdigest()


def _switch_off(manager: Json) -> None:
    for one in manager["http_filters"]:
        if "config_discovery" in one or one.get("typed_config", {}).get("@type") == _WASM:
            one["disabled"] = True
            for host in manager["route_config"]["virtual_hosts"]:
                for route in host["routes"]:
                    route.get("typed_per_filter_config", {}).pop(one["name"], None)


def _cluster(one: Json, recording: Recording, recorded: Json, parts: Parts) -> Json:
    server = {
        recording.upstream: parts.upstream,
        recording.keys: parts.authorization_server,
        "wasm_cluster": Server(parts.modules),
    }[one["name"]]
    made = copy.deepcopy(one)
    # Of Istio's own Envoy.
    made.pop("filters", None)
    if made.pop("eds_cluster_config", None):
        (made["load_assignment"],) = (
            found for found in recorded["ENDPOINT"] if found["cluster_name"] == one["name"]
        )
    for name in (
        "cluster_type",
        "dns_refresh_rate",
        "dns_jitter",
        "respect_dns_ttl",
        "typed_dns_resolver_config",
    ):
        made.pop(name, None)  # fmt: skip
    made["type"] = "STATIC"
    for locality in made["load_assignment"]["endpoints"]:
        for endpoint in locality["lb_endpoints"]:
            endpoint["endpoint"]["address"] = socket_address(server.port)
    if one["name"] == "wasm_cluster":
        # The module's server is a plain one here.
        del made["transport_socket"], made["typed_extension_protocol_options"]
    return made


def _secrets(resources: Json, parts: Parts) -> Iterator[Json]:
    """The secrets that TLS names, which no server hands out here."""
    found: dict[str, Json] = {}
    for one in _with_key(resources, "sds_config"):
        del one["sds_config"]
    for one in _with_key(resources, "tls_certificate_sds_secret_configs"):
        for secret in one["tls_certificate_sds_secret_configs"]:
            found[secret["name"]] = {
                "tls_certificate": {
                    "certificate_chain": {"filename": str(parts.certificate)},
                    "private_key": {"filename": str(parts.certificate.with_suffix(".key"))},
                }
            }
    trusted = parts.authorization_server.trusted or parts.certificate
    for one in _with_key(resources, "validation_context_sds_secret_config"):
        name = one["validation_context_sds_secret_config"]["name"]
        found[name] = {"validation_context": {"trusted_ca": {"filename": str(trusted)}}}
    for name, secret in found.items():
        yield {"name": name, **secret}


def _with_key(value: Any, key: str) -> Iterator[Json]:
    if isinstance(value, dict):
        if key in value:
            yield value
        for one in list(value.values()):
            yield from _with_key(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from _with_key(one, key)
