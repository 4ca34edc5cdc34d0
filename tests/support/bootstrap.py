"""Envoy's configuration for the tests, as the dictionary that becomes its JSON.

The order of HTTP filters is the one that users deploy: filter under test, interlock, router.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy.extensions.filters"

# Filter state of a request that the filter forwards.
MARKS = ("allow", "pass", "preflight", "observe", "off")

# One line a request; `mark` and `reason` are what the filter has set on it.
ACCESS_LOG_FORMAT: Json = {
    "test_id": "%REQ(X-TEST-ID)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "mark": "%FILTER_STATE(wasm.mcp_auth:PLAIN)%",
    "reason": "%FILTER_STATE(wasm.mcp_auth_reason:PLAIN)%",
}


@dataclass(frozen=True)
class Listener:
    """The settings that differ between the listeners of the tests."""

    wasm: Path | None
    """The module under test; None leaves filter and interlock out."""
    configuration: Mapping[str, Any] | str
    """The filter's configuration; a string goes to the filter as it is."""
    port: int = 0
    upstream: str = "upstream"
    failure_policy: str = "FAIL_CLOSED"
    interlock: bool = True
    marks: Sequence[str] = MARKS
    """The marks that the interlock lets through."""
    vm_id: str = "mcp_auth"
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the module's VM."""
    normalize_path: bool = False
    merge_slashes: bool = False
    codec: str = "AUTO"
    """AUTO, HTTP1 or HTTP2."""
    http1: Mapping[str, Any] = field(default_factory=dict)
    http2: Mapping[str, Any] = field(default_factory=dict)
    max_request_headers_kb: int = 96
    before: Sequence[Json] = ()
    """HTTP filters in front of the one under test."""
    between: Sequence[Json] = ()
    """HTTP filters between the interlock and the router."""
    holds_headers: bool = False
    """`allow_on_headers_stop_iteration`: whether bodies come while headers wait."""
    exact_balance: bool = False
    """True if every worker gets as many connections as any other."""
    manager: Mapping[str, Any] = field(default_factory=dict)
    """Fields set on the HTTP connection manager last."""


def wasm_filter(listener: Listener) -> Json:
    configuration = listener.configuration
    text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    return {
        "name": "mcp_auth",
        "typed_config": {
            "@type": f"{_TYPE}.http.wasm.v3.Wasm",
            "config": {
                "name": "mcp_auth",
                "root_id": "mcp_auth",
                "failure_policy": listener.failure_policy,
                **({"allow_on_headers_stop_iteration": True} if listener.holds_headers else {}),
                "vm_config": {
                    "vm_id": listener.vm_id,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": str(listener.wasm)}},
                    "environment_variables": {"key_values": dict(listener.environment)},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": text,
                },
            },
        },
    }


def interlock_filter(allowed: Sequence[str] = MARKS) -> Json:
    """Lets through only what the filter has marked, whatever happened to the filter."""
    marks = [
        {"filter_state": {"key": "wasm.mcp_auth", "string_match": {"exact": mark}}}
        for mark in allowed
    ]
    return {
        "name": "mcp_auth_interlock",
        "typed_config": {
            "@type": f"{_TYPE}.http.rbac.v3.RBAC",
            "rules": {
                "action": "ALLOW",
                "policies": {"decided": {"permissions": [{"any": True}], "principals": marks}},
            },
        },
    }


def http_filters(listener: Listener) -> list[Json]:
    filters = list(listener.before)
    if listener.wasm is not None:
        filters.append(wasm_filter(listener))
        if listener.interlock:
            filters.append(interlock_filter(listener.marks))
    filters += listener.between
    filters.append({"name": "router", "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"}})
    return filters


def listener_resource(name: str, listener: Listener, access_log: Path) -> Json:
    manager: Json = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": listener.codec,
        "normalize_path": listener.normalize_path,
        "merge_slashes": listener.merge_slashes,
        "max_request_headers_kb": listener.max_request_headers_kb,
        "http_protocol_options": dict(listener.http1),
        "http2_protocol_options": dict(listener.http2),
        "common_http_protocol_options": {"max_headers_count": 300},
        "stream_idle_timeout": "60s",
        "access_log": [
            {
                "name": "file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers"
                    ".file.v3.FileAccessLog",
                    "path": str(access_log),
                    "log_format": {"json_format": ACCESS_LOG_FORMAT},
                },
            }
        ],
        "route_config": {
            "name": "local",
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        # timeout 0: MCP streams stay open for as long as both ends want.
                        {
                            "match": {"prefix": "/"},
                            "route": {"cluster": listener.upstream, "timeout": "0s"},
                        },
                        {
                            "match": {"connect_matcher": {}},
                            "route": {"cluster": listener.upstream},
                        },
                    ],
                }
            ],
        },
        "http_filters": http_filters(listener),
        **listener.manager,
    }
    balance = {"connection_balance_config": {"exact_balance": {}}} if listener.exact_balance else {}
    return {
        "name": name,
        **balance,
        "address": socket_address(listener.port),
        "filter_chains": [
            {"filters": [{"name": "http_connection_manager", "typed_config": manager}]}
        ],
    }


def cluster(name: str, port: int) -> Json:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket_address(port)}}]}],
        },
    }


def socket_address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def bootstrap(clusters: Sequence[Json], listeners: Sequence[Json] | Path) -> Json:
    """`listeners`: the resources, or the file that Envoy is to watch for them."""
    made: Json = {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": socket_address(0)},
        "static_resources": {"clusters": list(clusters)},
    }
    if isinstance(listeners, Path):
        made["dynamic_resources"] = {
            "lds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": str(listeners),
                    "watched_directory": {"path": str(listeners.parent)},
                },
            }
        }
    else:
        made["static_resources"]["listeners"] = list(listeners)
    return made


def discovery_response(listeners: Sequence[Json]) -> Json:
    kind = "type.googleapis.com/envoy.config.listener.v3.Listener"
    return {"resources": [{"@type": kind, **listener} for listener in listeners]}
