"""The Envoy configuration that Istio and Envoy Gateway make of the manifests under envoy/, as far as the filter is concerned.

Neither runs here. This is their translation as their sources say it (see the README of each folder):
names, and the fields that they set. Everything else is read from the manifests.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .bootstrap import socket_address
from .manifests import identity

Json = dict[str, Any]

_TYPE = "type.googleapis.com"
_WASM = f"{_TYPE}/envoy.extensions.filters.http.wasm.v3.Wasm"
_RBAC = f"{_TYPE}/envoy.extensions.filters.http.rbac.v3.RBAC"
_TLS = f"{_TYPE}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

ROUTER: Json = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{_TYPE}/envoy.extensions.filters.http.router.v3.Router"},
}


@dataclass(frozen=True)
class Server:
    """A server of this machine that stands for one of the manifests."""

    port: int
    trusted: Path | None = None
    """The file of CAs that its certificate is checked against, where it speaks TLS."""


def plugin_configuration(value: Json) -> Json:
    """Both pass JSON as a string (Istio: by way of a Struct), and an empty object as nothing."""
    if not value:
        return {}
    return {"configuration": {"@type": f"{_TYPE}/google.protobuf.StringValue", "value": json.dumps(value)}}  # fmt: skip


def static_cluster(name: str, server: Server) -> Json:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": socket_address(server.port)}}]}
            ],
        },
    }


def upstream_tls(sni: str, names: Sequence[str], trusted: Path | None) -> Json:
    """Without names any certificate of a trusted authority will do."""
    matchers = [{"san_type": "DNS", "matcher": {"exact": name}} for name in names]
    validation: Json = {"match_typed_subject_alt_names": matchers} if matchers else {}
    if trusted is not None:
        validation["trusted_ca"] = {"filename": str(trusted)}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": _TLS,
            "sni": sni,
            "common_tls_context": {"validation_context": validation},
        },
    }


# Istio

_FAILURE_POLICY = {
    "FAIL_CLOSE": "FAIL_CLOSED",
    "FAIL_OPEN": "FAIL_OPEN",
    "FAIL_RELOAD": "FAIL_RELOAD",
}


@dataclass(frozen=True)
class Extension:
    """A filter whose configuration comes by extension discovery, here from a file."""

    filter: Json
    resource: Json


def istio_plugin(plugin: Json, spec: Json, module: Path) -> Extension:
    """`spec`: that of a WasmPlugin, or `wasm` of a TrafficExtension.

    There is no vm_id. The agent has fetched the module: Envoy sees a local file.
    """
    name = ".".join(identity(plugin))
    wasm = {
        "@type": _WASM,
        "config": {
            "name": name,
            "root_id": spec.get("pluginName", ""),
            "failure_policy": _FAILURE_POLICY[spec.get("failStrategy", "FAIL_CLOSE")],
            **plugin_configuration(spec.get("pluginConfig", {})),
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": str(module)}},
                "environment_variables": {"key_values": {}},
            },
        },
    }
    return Extension(
        {"name": name, "config_discovery": {"type_urls": [_WASM, _RBAC]}},
        {"name": name, "typed_config": wasm},
    )


def istio_patches(
    filters: list[Json], envoy_filters: Sequence[Json], module: Path
) -> tuple[list[Json], list[Extension]]:
    """HTTP filters, and what extension discovery has for them, after these EnvoyFilters."""
    extensions: dict[str, Json] = {}
    for one in sorted(envoy_filters, key=lambda one: one["spec"].get("priority", 0)):
        for patch in one["spec"]["configPatches"]:
            assert patch["match"]["context"] == "GATEWAY"
            value = patch["patch"]["value"]
            if patch["applyTo"] == "EXTENSION_CONFIG":
                assert patch["patch"]["operation"] == "ADD"
                # The agent fetches what is remote.
                value["typed_config"]["config"]["vm_config"]["code"] = {
                    "local": {"filename": str(module)}
                }
                extensions[value["name"]] = value
                continue
            assert patch["applyTo"] == "HTTP_FILTER"
            assert patch["patch"]["operation"] == "INSERT_BEFORE"
            chain = patch["match"]["listener"]["filterChain"]["filter"]
            assert chain["name"] == "envoy.filters.network.http_connection_manager"
            names = [one["name"] for one in filters]
            filters.insert(names.index(chain["subFilter"]["name"]), value)
    discovered = [one for one in filters if one["name"] in extensions]
    assert len(discovered) == len(extensions)
    return filters, [Extension(one, extensions[one["name"]]) for one in discovered]


def istio_merged(manager: Json, envoy_filter: Json) -> Json:
    """The connection manager's fields after an EnvoyFilter that merges some in."""
    (patch,) = envoy_filter["spec"]["configPatches"]
    assert patch["applyTo"] == "NETWORK_FILTER"
    assert patch["match"]["context"] == "GATEWAY"
    assert patch["patch"]["operation"] == "MERGE"
    fields = dict(patch["patch"]["value"]["typed_config"])
    assert fields.pop("@type").endswith(".HttpConnectionManager")
    assert not fields.keys() & manager.keys(), "nothing to merge deeper"
    return {**manager, **fields}


def istio_cluster(service: Json, rule: Json, server: Server) -> Json:
    (host,) = service["spec"]["hosts"]
    (port,) = service["spec"]["ports"]
    assert rule["spec"]["host"] == host
    assert identity(rule)[0] == identity(service)[0]
    tls = rule["spec"]["trafficPolicy"]["tls"]
    assert tls["mode"] == "SIMPLE"
    trusted = server.trusted if tls.get("caCertificates") else None
    return {
        **static_cluster(f"outbound|{port['number']}||{host}", server),
        "transport_socket": upstream_tls(tls.get("sni", ""), tls.get("subjectAltNames", []), trusted),
    }  # fmt: skip


def istio_routes(service: Json) -> tuple[Json, list[str]]:
    """The virtual host, and the names of the clusters that it routes to."""
    routes, clusters = [], []
    for rule in service["spec"]["http"]:
        (target,) = (one["destination"] for one in rule["route"])
        clusters.append(f"outbound|{target['port']['number']}||{target['host']}")
        for match in rule["match"]:
            ((how, value),) = match["uri"].items()
            routes.append(
                {
                    "match": {{"exact": "path", "prefix": "prefix"}[how]: value},
                    # What istiod gives a route that says nothing.
                    "route": {"cluster": clusters[-1], "timeout": rule.get("timeout", "0s")},
                }
            )
    return {"name": "mcp", "domains": service["spec"]["hosts"], "routes": routes}, clusters


def istio_manager(mesh: Json) -> Json:
    """The path options of the connection manager, by `pathNormalization` of the mesh."""
    how = mesh["meshConfig"]["pathNormalization"]["normalization"]
    assert how in ("BASE", "MERGE_SLASHES"), how
    return {"normalize_path": True, "merge_slashes": how == "MERGE_SLASHES"}


# Envoy Gateway


@dataclass(frozen=True)
class PerRoute:
    """A filter that is off, but for the routes that switch it on."""

    filter: Json
    switch: Json


def gateway_plugin(policy: Json, module_url: str, cluster: str, sha256: str) -> PerRoute:
    (wasm,) = policy["spec"]["wasm"]
    name = "/".join(("envoyextensionpolicy", *identity(policy), "wasm", "0"))
    filter_name = f"envoy.filters.http.wasm/{name}"
    config = {
        "name": wasm["name"],
        "root_id": wasm["rootID"],
        "fail_open": wasm["failOpen"],
        **plugin_configuration(wasm["config"]),
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            # Envoy Gateway has fetched the module, and serves it to Envoy.
            "code": {
                "remote": {
                    "http_uri": {"uri": module_url, "cluster": cluster, "timeout": "10s"},
                    "sha256": sha256,
                }
            },
        },
    }
    return PerRoute(
        {"name": filter_name, "disabled": True, "typed_config": {"@type": _WASM, "config": config}},
        {filter_name: {"@type": f"{_TYPE}/envoy.config.route.v3.FilterConfig", "config": {}}},
    )


def gateway_deny(policy: Json) -> PerRoute:
    """The RBAC filter of a SecurityPolicy that says nothing but `defaultAction: Deny`."""
    assert policy["spec"]["authorization"] == {"defaultAction": "Deny"}
    never = {"rules": {"action": "ALLOW", "policies": {}}}
    return PerRoute(
        {"name": "envoy.filters.http.rbac", "typed_config": {"@type": _RBAC}},
        {"envoy.filters.http.rbac": {"@type": f"{_RBAC}PerRoute", "rbac": never}},
    )


def gateway_patch(filters: list[Json], policy: Json, gateway: Json) -> list[Json]:
    """HTTP filters of this Gateway's only listener after this EnvoyPatchPolicy."""
    (listener,) = gateway["spec"]["listeners"]
    (patch,) = policy["spec"]["jsonPatches"]
    assert patch["type"] == f"{_TYPE}/envoy.config.listener.v3.Listener"
    assert patch["name"] == "/".join((*identity(gateway), listener["name"]))
    assert patch["operation"]["op"] == "add"
    assert patch["operation"]["jsonPath"] == f"..http_filters[?(@.name=='{ROUTER['name']}')]"
    assert "path" not in patch["operation"]
    names = [one["name"] for one in filters]
    filters.insert(names.index(ROUTER["name"]), patch["operation"]["value"])
    return filters


def gateway_cluster_name(route: Json) -> str:
    assert len(route["spec"]["rules"]) == 1
    return "/".join(("httproute", *identity(route), "rule", "0"))


def gateway_cluster(route: Json, backend: Json, policy: Json, server: Server) -> Json:
    """The cluster of a route to a Backend that a BackendTLSPolicy is for."""
    (rule,) = route["spec"]["rules"]
    (reference,) = rule["backendRefs"]
    (target,) = policy["spec"]["targetRefs"]
    for one in (reference, target):
        assert one["kind"] == "Backend"
        assert one["name"] == backend["metadata"]["name"]
        assert backend["apiVersion"].startswith(f"{one['group']}/")
    assert len({identity(one)[0] for one in (route, backend, policy)}) == 1
    validation = policy["spec"]["validation"]
    assert validation["wellKnownCACertificates"] == "System"
    name = gateway_cluster_name(route)
    socket = upstream_tls(validation["hostname"], [validation["hostname"]], server.trusted)
    cluster = static_cluster(name, server)
    (locality,) = cluster["load_assignment"]["endpoints"]
    match = {"name": f"{name}/tls/0"}
    locality["lb_endpoints"][0]["metadata"] = {
        "filter_metadata": {"envoy.transport_socket_match": match}
    }
    return {
        **cluster,
        # For endpoints that match none; there are none such.
        "transport_socket": {
            "name": "dummy.transport_socket",
            "typed_config": {"@type": _TLS, "common_tls_context": {}},
        },
        "transport_socket_matches": [{**match, "match": match, "transport_socket": socket}],
        "typed_extension_protocol_options": {
            _OPTIONS: {
                "@type": f"{_TYPE}/{_OPTIONS}",
                "auto_config": {"http_protocol_options": {}, "http2_protocol_options": {}},
            }
        },
    }


def gateway_routes(route: Json, switches: Sequence[Json]) -> list[Json]:
    """The routes of an HTTPRoute, with these filters switched on."""
    (rule,) = route["spec"]["rules"]
    kinds = {"PathPrefix": "path_separated_prefix", "Exact": "path"}
    timeout = rule.get("timeouts", {}).get("request")
    return [
        {
            "match": {kinds[match["path"]["type"]]: match["path"]["value"]},
            "route": {
                "cluster": gateway_cluster_name(route),
                **({"timeout": timeout} if timeout else {}),
            },
            "typed_per_filter_config": {name: one for made in switches for name, one in made.items()},
        }
        for match in rule["matches"]
    ]  # fmt: skip


_ESCAPED_SLASHES = {"RejectRequest": "REJECT_REQUEST", "UnescapeAndRedirect": "UNESCAPE_AND_REDIRECT"}
_UNDERSCORES = {"RejectRequest": "REJECT_REQUEST", "Allow": "ALLOW"}


def _seconds(duration: str) -> str:
    """A Kubernetes duration of one unit as one of Envoy's."""
    return f"{int(duration[:-1]) * {'s': 1, 'm': 60, 'h': 3600}[duration[-1]]}s"


def gateway_manager(policy: Json) -> Json:
    """The connection manager by a ClientTrafficPolicy, with Envoy Gateway's own defaults."""
    spec = policy["spec"]
    return {
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": _ESCAPED_SLASHES[spec["path"]["escapedSlashesAction"]],
        "common_http_protocol_options": {
            "headers_with_underscores_action": _UNDERSCORES[
                spec["headers"]["withUnderscoresAction"]
            ]
        },
        "request_timeout": _seconds(spec["timeout"]["http"]["requestReceivedTimeout"]),
        "stream_idle_timeout": _seconds(spec["timeout"]["http"]["streamIdleTimeout"]),
        "use_remote_address": True,
    }


# What both end up as


def envoy(
    filters: list[Json],
    virtual_host: Json,
    manager: Json,
    clusters: Sequence[Json],
    discovered: Sequence[Extension] = (),
    *,
    directory: Path,
) -> str:
    """One listener with this, as Envoy's bootstrap."""
    for number, one in enumerate(discovered):
        file = directory / f"extension-{number}.json"
        file.write_text(json.dumps({"resources": [{"@type": f"{_TYPE}/envoy.config.core.v3.TypedExtensionConfig", **one.resource}]}))  # fmt: skip
        one.filter["config_discovery"]["config_source"] = {
            "resource_api_version": "V3",
            "path_config_source": {"path": str(file)},
            # As Istio has it: no listener before its filters are there.
            "initial_fetch_timeout": "0s",
        }
    listener = {
        "name": "mcp",
        "address": socket_address(0),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": {
                            "@type": f"{_TYPE}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                            "stat_prefix": "mcp",
                            **manager,
                            "route_config": {"name": "mcp", "virtual_hosts": [virtual_host]},
                            "http_filters": filters,
                        },
                    }
                ]
            }
        ],
    }
    made = {
        "node": {"id": "test", "cluster": "test"},
        "static_resources": {"listeners": [listener], "clusters": list(clusters)},
    }
    return json.dumps(made, indent=1)
