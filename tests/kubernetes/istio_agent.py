"""A gateway's pod: Istio's real agent, which fetches modules, and starts a real Envoy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from istio_ways import Way
from support import paths
from support.manifests import ISTIO, documents
from support.processes import Child

PROGRAMS = paths.TOOLS / "kubernetes"
# Not that of a server: istiod would take the gateway for its endpoint.
POD_ADDRESS = "192.0.2.1"


def started(way: Way, directory: Path, discovery: Mapping[str, Any], more: Mapping[str, str]) -> Child:
    """`discovery`: how it reaches istiod; `more`: its environment."""
    for one in ("etc/istio/proxy", "var/run/secrets/workload-spiffe-uds", "var/lib/istio/data"):
        (directory / one).mkdir(parents=True, exist_ok=True)
    configuration = {
        **discovery,
        "binaryPath": str(paths.envoy_binary()),
        "statusPort": 15020,
        "proxyAdminPort": 15000,
        "concurrency": 2,
    }
    if way.connection_settings:
        (values,) = documents(ISTIO / "values-gateway.yaml")
        configuration |= yaml.safe_load(values["podAnnotations"]["proxy.istio.io/config"])
    environment = {
        "POD_NAME": "gateway",
        "POD_NAMESPACE": "istio-ingress",
        "INSTANCE_IP": POD_ADDRESS,
        "SERVICE_ACCOUNT": way.account,
        "ISTIO_META_CLUSTER_ID": "Kubernetes",
        "ISTIO_METAJSON_LABELS": json.dumps(dict(way.labels)),
        "PROXY_CONFIG": json.dumps(configuration),
        **more,
    }
    template = PROGRAMS / "envoy_bootstrap.json"
    command = [PROGRAMS / "pilot-agent", "proxy", "router", "--templateFile", template]
    # Its paths are relative to where it runs.
    return Child(
        "pilot-agent", ["/usr/bin/env", "-C", directory, *command], directory, environment=environment
    )
