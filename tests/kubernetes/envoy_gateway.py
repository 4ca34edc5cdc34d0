"""Envoy Gateway itself, without Kubernetes: objects from a folder, and a real Envoy that it runs."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from control_plane import PATIENCE, ControlPlane, Objects
from stage import IMAGE_NAME, IMAGE_TAG, UPSTREAM, Stage
from support import paths
from support.manifests import ENVOY_GATEWAY, documents
from support.processes import Child

Json = dict[str, Any]

PROGRAM = paths.TOOLS / "kubernetes" / "envoy-gateway"
GATEWAY, GATEWAY_API = "gateway.envoyproxy.io/v1alpha1", "gateway.networking.k8s.io/v1"
CLASS = "gateway.envoyproxy.io/gatewayclass-controller"
# It wants to be told, and would download that one; `Standalone` puts ours in its place.
ENVOY_VERSION = "1.40.0"


class Shipped(ControlPlane):
    """The manifests of envoy/envoy-gateway."""

    filter = "EnvoyExtensionPolicy/mcp-auth"

    def shipped(self) -> Objects:
        files = [ENVOY_GATEWAY / f"{one}.yaml" for one in ("gateway", "keys", "filter", "interlock")]
        objects = Objects(one for file in files for one in documents(file))
        self.set_module(objects, sha256=self.stage.sha256)
        return objects

    def _wasm(self, objects: Objects) -> Json:
        (wasm,) = objects[self.filter]["spec"]["wasm"]
        return wasm

    def set_module(self, objects: Objects, **fields: str) -> None:
        self._wasm(objects)["code"]["http"] |= fields

    def set_image(self, objects: Objects, digest: str) -> None:
        image = {"url": f"artifacts.example.com/{IMAGE_NAME}:{IMAGE_TAG}", "sha256": digest}
        self._wasm(objects)["code"] = {"type": "Image", "image": image}

    def configure(self, objects: Objects, change: Callable[[Json], None]) -> None:
        change(self._wasm(objects)["config"])


class Standalone(Shipped):
    def __init__(self, stage: Stage, directory: Path) -> None:
        self._directory = directory
        certgen = [PROGRAM, "certgen", "--local", "--config-home", directory / "config"]
        with Child("certgen", certgen, directory, environment=self._environment) as made:
            assert made.wait(PATIENCE) == 0, made.log()
        # Where it is in Envoy's container.
        shutil.copy(directory / "config" / "certs" / "envoy" / "ca.crt", "/certs/ca.crt")
        super().__init__(stage)
        self._resources = directory / "resources"
        self._resources.mkdir()
        binary = directory / "data" / "envoy-versions" / ENVOY_VERSION / "bin" / "envoy"
        binary.parent.mkdir(parents=True)
        binary.symlink_to(paths.envoy_binary())
        self._file = directory / "envoy-gateway.yaml"
        self._file.write_text(yaml.safe_dump(self._configuration()))
        self.apply(self.objects)
        self.start()

    def shipped(self) -> Objects:
        objects = super().shipped()
        for one in self._besides():
            objects.put(one)
        # Services are Kubernetes' own: the MCP server is a Backend here.
        (rule,) = objects["HTTPRoute/mcp"]["spec"]["rules"]
        rule["backendRefs"] = [
            {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "mcp-server"}
        ]
        return objects

    def _besides(self) -> Iterator[Json]:
        """What a cluster has besides."""
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mcp"}}
        parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "local"}
        yield {
            "apiVersion": GATEWAY_API,
            "kind": "GatewayClass",
            "metadata": {"name": "eg"},
            "spec": {"controllerName": CLASS, "parametersRef": {**parameters, "namespace": "mcp"}},
        }
        host = {"type": "Host", "host": {"envoyVersion": ENVOY_VERSION}}
        yield _object(GATEWAY, "EnvoyProxy", "local", spec={"provider": host})
        address, port = UPSTREAM
        endpoint = {"ip": {"address": address, "port": port}}
        yield _object(GATEWAY, "Backend", "mcp-server", spec={"endpoints": [endpoint]})
        yield tls_secret("mcp-example-com", "mcp", self.stage.certificate)
        # In its place Envoy Gateway would make one that its own server of modules does not take.
        certificates = self._directory / "config" / "certs" / "envoy"
        yield tls_secret("envoy", "envoy-gateway-system", certificates / "tls.crt")

    @property
    def _environment(self) -> dict[str, str]:
        return {"HOME": str(self._directory)}

    def _configuration(self) -> Json:
        """`extensionApis` as values.yaml has it."""
        homes = {f"{one}Home": str(self._directory / one) for one in ("config", "data", "state")}
        homes["runtimeDir"] = str(self._directory / "runtime")
        (values,) = documents(ENVOY_GATEWAY / "values.yaml")
        resources = {"type": "File", "file": {"paths": [str(self._directory / "resources")]}}
        custom = {"resource": resources, "infrastructure": {"type": "Host", "host": homes}}
        return {
            "apiVersion": GATEWAY,
            "kind": "EnvoyGateway",
            "gateway": {"controllerName": CLASS},
            "provider": {"type": "Custom", "custom": custom},
            "logging": {"level": {"default": "info"}},
            **values["config"]["envoyGateway"],
        }

    def start(self) -> None:
        self._child = Child(
            "envoy-gateway",
            [PROGRAM, "server", "--config-path", self._file],
            self._directory,
            environment=self._environment,
        )

    def stop(self) -> None:
        self._child.stop()

    def children(self) -> list[Child]:
        return [self._child]

    def log(self) -> str:
        return self._child.log()

    def _apply(self, objects: Objects) -> None:
        """At one stroke: it reads a file as soon as it changes."""
        new = self._directory / "objects.new"
        new.write_text(yaml.safe_dump_all(objects))
        new.rename(self._resources / "objects.yaml")


def tls_secret(name: str, namespace: str, certificate: Path) -> Json:
    """Of a certificate with its key beside it."""
    files = {"tls.crt": certificate, "tls.key": certificate.with_suffix(".key")}
    data = {key: base64.b64encode(file.read_bytes()).decode() for key, file in files.items()}
    made = _object("v1", "Secret", name, type="kubernetes.io/tls", data=data)
    made["metadata"]["namespace"] = namespace
    return made


def _object(version: str, kind: str, name: str, **more: Any) -> Json:
    metadata = {"name": name, "namespace": "mcp"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}
