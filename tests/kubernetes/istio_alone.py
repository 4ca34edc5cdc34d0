"""Istio without Kubernetes: istiod's code over an in-memory one (`istio/istiod`), and the real agent."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import istio_agent
import yaml
from control_plane import PATIENCE, Objects
from envoy_gateway import tls_secret
from istio_ways import Shipped, Way
from stage import UPSTREAM, Stage
from support.manifests import ISTIO, documents
from support.processes import Child
from support.waiting import until

Json = dict[str, Any]

DISCOVERY = "127.0.0.1:15010"
# Filters that only Istio's own Envoy has are left out. There is no CA, and so no TLS to istiod.
STOCK_ENVOY = {
    "PILOT_ENABLE_ALPN_FILTER": "false",
    "PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "XDS_AUTH_PLAINTEXT": "true",
}
KUBERNETES = ("v1", "gateway.networking.k8s.io/v1", "discovery.k8s.io/v1")


class Alone(Shipped):
    def __init__(self, stage: Stage, way: Way, directory: Path) -> None:
        self.way = way
        self._directory = directory
        self._manifests = directory / "manifests"
        self._manifests.mkdir()
        super().__init__(stage)
        (values,) = documents(ISTIO / "values-istiod.yaml")
        mesh = {
            "defaultConfig": {"discoveryAddress": DISCOVERY},
            "enableAutoMtls": False,
            "rootNamespace": "istio-system",
            "trustDomain": "cluster.local",
            **values["meshConfig"],
        }
        (directory / "mesh.yaml").write_text(yaml.safe_dump(mesh))
        kubernetes = [*cluster(stage, way), *(one for one in self.objects if not _istios(one))]
        (directory / "kubernetes.yaml").write_text(yaml.safe_dump_all(kubernetes))
        self._write(self.objects)
        self.start()
        discovery = {"discoveryAddress": DISCOVERY, "controlPlaneAuthPolicy": "NONE"}
        self._agent = istio_agent.started(
            way, directory, discovery, {"FILE_MOUNTED_CERTS": "true"}
        )

    def start(self) -> None:
        identity = f"spiffe://cluster.local/ns/istio-ingress/sa/{self.way.account}"
        self._child = Child(
            "istiod",
            [
                istio_agent.PROGRAMS / "istiod",
                "-listen", DISCOVERY,
                "-mesh", self._directory / "mesh.yaml",
                "-kubernetes", self._directory / "kubernetes.yaml",
                "-identity", identity,
                self._manifests,
            ],
            self._directory,
            environment=STOCK_ENVOY,
        )  # fmt: skip
        self._said(1)

    def _said(self, lines: int) -> None:
        def said() -> bool:
            self._child.check()
            return self._child.stdout_path.read_text().count("\n") >= lines

        until(said, f"istiod to say {lines} lines", timeout=PATIENCE, interval=0.1)

    def _write(self, objects: Objects) -> None:
        text = yaml.safe_dump_all(one for one in objects if _istios(one))
        (self._manifests / "objects.yaml").write_text(text)

    def _apply(self, objects: Objects) -> None:
        self._write(objects)
        said = self._child.stdout_path.read_text().count("\n")
        self._child.signal(signal.SIGHUP)
        self._said(said + 1)

    def stop(self) -> None:
        self._child.stop()

    def close(self) -> None:
        self._agent.stop()
        self.stop()

    def children(self) -> list[Child]:
        return [self._child, self._agent]

    def log(self) -> str:
        return f"{self._child.log()}\n{self._agent.stdout_path.read_text()}\n{self._agent.log()}"


def _istios(one: Json) -> bool:
    return "istio.io" in one["apiVersion"]


def cluster(stage: Stage, way: Way) -> Iterator[Json]:
    """What is in a cluster besides."""
    for name in ("istio-system", "istio-ingress", "mcp"):
        labels = {"kubernetes.io/metadata.name": name}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    yield tls_secret("mcp-example-com", "istio-ingress", stage.certificate)
    name = "mcp-istio" if way.gateway_api else "istio-ingress"
    gateway = service(name, "istio-ingress", dict(way.labels), {"name": "https", "port": 443})
    gateway["metadata"]["labels"] = dict(way.labels)
    yield gateway
    address, port = UPSTREAM
    http = {"name": "http", "port": port}
    yield service("mcp-server", "mcp", {"app": "mcp-server"}, http)
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "mcp-server-1",
            "namespace": "mcp",
            "labels": {"kubernetes.io/service-name": "mcp-server"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{**http, "protocol": "TCP"}],
    }
    if way.gateway_api:
        yield {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "istio"},
            "spec": {"controllerName": "istio.io/gateway-controller"},
        }


_addresses = iter(f"10.0.0.{number}" for number in range(2, 255))


def service(name: str, namespace: str, selector: Json, port: Json) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "clusterIP": next(_addresses),
            "selector": selector,
            "ports": [{**port, "targetPort": port["port"], "protocol": "TCP"}],
        },
    }
