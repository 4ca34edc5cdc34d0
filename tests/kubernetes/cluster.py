"""Envoy Gateway and Istio as in a cluster: they read the manifests from an API server.

Nothing schedules pods here. What would run in the gateway's pod runs as this machine's process: the Envoy of Envoy
Gateway as its Deployment says, and Istio's agent with a token of its service account.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import envoy_gateway
import istio_agent
import istio_ways
import yaml
from api_server import ApiServer
from control_plane import PATIENCE, Objects
from istio_alone import STOCK_ENVOY, service
from istio_ways import Way
from stage import UPSTREAM, Stage, Switch
from support import paths
from support.manifests import ENVOY_GATEWAY, ISTIO, documents
from support.processes import Child
from support.waiting import until

Json = dict[str, Any]

SYSTEM = "envoy-gateway-system"
CONTROLLER = {"gateway": {"controllerName": envoy_gateway.CLASS}}
# Of Envoy in its pod, where the Service leads to.
ENVOY_PORT = 10443


def object_(version: str, kind: str, name: str, namespace: str | None = None, **more: Any) -> Json:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def namespaces(*names: str) -> list[Json]:
    return [object_("v1", "Namespace", name) for name in names]


def mcp_server() -> Iterator[Json]:
    """Its Service, and the endpoints that a controller would find."""
    address, port = UPSTREAM
    http = {"name": "http", "port": port}
    made = service("mcp-server", "mcp", {"app": "mcp-server"}, http)
    del made["spec"]["clusterIP"]
    yield made
    slices = object_(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "mcp-server-1",
        "mcp",
        addressType="IPv4",
        endpoints=[{"addresses": [address], "conditions": {"ready": True}}],
        ports=[{**http, "protocol": "TCP"}],
    )
    slices["metadata"]["labels"] = {"kubernetes.io/service-name": "mcp-server"}
    yield slices


class EnvoyGateway(envoy_gateway.Shipped):
    def __init__(self, stage: Stage, api: ApiServer, directory: Path) -> None:
        self._api, self._directory = api, directory
        super().__init__(stage)
        for one in namespaces(SYSTEM, "mcp"):
            api.apply_one(one)
        self._environment = {
            "KUBECONFIG": str(api.kubeconfig),
            "ENVOY_GATEWAY_NAMESPACE": SYSTEM,
            "HOME": str(directory),
        }
        certgen = [envoy_gateway.PROGRAM, "certgen", "--disable-topology-injector"]
        with Child("certgen", certgen, directory, environment=self._environment) as made:
            assert made.wait(PATIENCE) == 0, made.log()
        self._write_secret("envoy-gateway", Path("/certs"))
        (values,) = documents(ENVOY_GATEWAY / "values.yaml")
        kubernetes = {
            "leaderElection": {"disable": True},
            "proxyTopologyInjector": {"disabled": True},
        }
        configuration = {
            "apiVersion": envoy_gateway.GATEWAY,
            "kind": "EnvoyGateway",
            **CONTROLLER,
            "provider": {"type": "Kubernetes", "kubernetes": kubernetes},
            # Envoy's own ports, 19000 and 19001, were free for it in a pod of its own.
            "admin": {"address": {"host": "127.0.0.1", "port": 19100}},
            "telemetry": {"metrics": {"prometheus": {"disable": True}}},
            **values["config"]["envoyGateway"],
        }
        self._file = directory / "envoy-gateway.yaml"
        self._file.write_text(yaml.safe_dump(configuration))
        self.apply(self.objects)
        self.start()
        self._envoy = Child("envoy", self._envoy_command(), directory)
        self._service = Switch(("127.0.0.1", 443), ENVOY_PORT)

    def shipped(self) -> Objects:
        objects = super().shipped()
        spec = {"controllerName": envoy_gateway.CLASS}
        objects.put(object_(envoy_gateway.GATEWAY_API, "GatewayClass", "eg", spec=spec))
        objects.put(envoy_gateway.tls_secret("mcp-example-com", "mcp", self.stage.certificate))
        for one in mcp_server():
            objects.put(one)
        return objects

    def _write_secret(self, name: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for file, data in self._api.get(object_("v1", "Secret", name, SYSTEM))["data"].items():
            (folder / file).write_bytes(base64.b64decode(data))

    def _envoy_command(self) -> list[str | Path]:
        """What the Deployment says, with the files that it mounts."""
        where = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments"
        (deployment,) = until(lambda: self._deployments(where), "the Deployment", timeout=PATIENCE)
        pod = deployment["spec"]["template"]["spec"]
        (container,) = (one for one in pod["containers"] if one["name"] == "envoy")
        certificates, discovery = self._directory / "certs", self._directory / "sds"
        self._write_secret("envoy", certificates)
        discovery.mkdir()
        maps = [one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one]
        for name in maps:
            for file, text in self._api.get(object_("v1", "ConfigMap", name, SYSTEM))["data"].items():  # fmt: skip
                (discovery / file).write_text(text.replace("/certs/", f"{certificates}/"))
        arguments = [
            one.replace("$(ENVOY_POD_NAME)", "gateway")
            .replace("$(ENVOY_SERVICE_ZONE)", "")
            .replace("/sds/", f"{discovery}/")
            # A name with a dot at its end is not looked for in /etc/hosts.
            .replace(".svc.cluster.local.", ".svc.cluster.local")
            for one in container["args"]
        ]
        return [paths.envoy_binary(), *arguments, "--disable-hot-restart"]

    def _deployments(self, where: str) -> list[Json]:
        self._child.check()
        return self._api.list(where)

    def start(self) -> None:
        self._child = Child(
            "envoy-gateway",
            [envoy_gateway.PROGRAM, "server", "--config-path", self._file],
            self._directory,
            environment=self._environment,
        )

    def stop(self) -> None:
        self._child.stop()

    def close(self) -> None:
        self._service.stop()
        self._envoy.stop()
        self.stop()
        self._api.apply(Objects())

    def _apply(self, objects: Objects) -> None:
        self._api.apply(objects)

    def children(self) -> list[Child]:
        return [self._child, self._envoy]

    def log(self) -> str:
        return f"{self._envoy.log()}\n{self._child.stdout_path.read_text()}\n{self._child.log()}"

    def said(self) -> dict[str, dict[str, list[str]]]:
        """Of each object of the README's command the conditions that it shows."""
        kinds = ("EnvoyPatchPolicy", "EnvoyExtensionPolicy", "SecurityPolicy", "BackendTLSPolicy", "HTTPRoute")  # fmt: skip
        found = {}
        for one in self.objects:
            if one["kind"] in kinds:
                status = self._api.get(one).get("status", {})
                conditions = [
                    condition
                    for many in status.values()
                    for part in many
                    for condition in part["conditions"]
                ]
                found[f"{one['kind']}/{one['metadata']['name']}"] = {
                    kind: [each["status"] for each in conditions if each["type"] == kind]
                    for kind in ("Accepted", "Programmed")
                }
        return found


class Istio(istio_ways.Shipped):
    def __init__(self, stage: Stage, api: ApiServer, way: Way, directory: Path) -> None:
        self.way, self._api, self._directory = way, api, directory
        super().__init__(stage)
        for one in namespaces("istio-system", "istio-ingress", "mcp"):
            api.apply_one(one)
        (values,) = documents(ISTIO / "values-istiod.yaml")
        mesh = {"rootNamespace": "istio-system", "trustDomain": "cluster.local", **values["meshConfig"]}  # fmt: skip
        api.apply_one(
            object_("v1", "ConfigMap", "istio", "istio-system", data={"mesh": yaml.safe_dump(mesh)})
        )
        self.apply(self.objects)
        self.start()
        self._agent = self._started_agent()

    def shipped(self) -> Objects:
        objects = super().shipped()
        objects.put(
            envoy_gateway.tls_secret("mcp-example-com", "istio-ingress", self.stage.certificate)
        )
        objects.put(object_("v1", "ServiceAccount", self.way.account, "istio-ingress"))
        name = "mcp-istio" if self.way.gateway_api else "istio-ingress"
        https = {"name": "https", "port": 443}
        gateway = service(name, "istio-ingress", dict(self.way.labels), https)
        del gateway["spec"]["clusterIP"]
        gateway["metadata"]["labels"] = dict(self.way.labels)
        objects.put(gateway)
        for one in mcp_server():
            objects.put(one)
        if self.way.gateway_api:
            spec = {"controllerName": "istio.io/gateway-controller"}
            objects.put(object_(envoy_gateway.GATEWAY_API, "GatewayClass", "istio", spec=spec))
        return objects

    def start(self) -> None:
        environment = {
            **STOCK_ENVOY,
            "POD_NAMESPACE": "istio-system",
            "POD_NAME": "istiod",
            "REVISION": "default",
            "INJECT_ENABLED": "false",
            # The pods of a Gateway would need a template of the chart's.
            "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER": "false",
        }
        command = [istio_agent.PROGRAMS / "pilot-discovery", "discovery", "--kubeconfig", self._api.kubeconfig]  # fmt: skip
        self._child = Child(
            "istiod",
            ["/usr/bin/env", "-C", self._directory, *command, "--namespace", "istio-system"],
            self._directory,
            environment=environment,
        )
        # Of istiod's own CA, as its controller puts it into every namespace.
        root = object_("v1", "Secret", "istio-ca-secret", "istio-system")
        until(lambda: self._is_there(root), "istiod's CA", timeout=PATIENCE, interval=0.2)

    @contextmanager
    def webhook(self) -> Iterator[ApiServer]:
        """The API server asks istiod about Istio's objects, as in a cluster."""
        authority = self._api.get(object_("v1", "Secret", "istio-ca-secret", "istio-system"))
        hook = {
            "name": "validation.istio.io",
            "clientConfig": {
                "url": "https://istiod.istio-system.svc:15017/validate",
                "caBundle": authority["data"]["ca-cert.pem"],
            },
            "rules": [
                {
                    "operations": ["CREATE", "UPDATE"],
                    "apiGroups": ["networking.istio.io", "security.istio.io", "extensions.istio.io"],
                    "apiVersions": ["*"],
                    "resources": ["*"],
                }
            ],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        objects = self.objects.copy()
        objects.put(
            object_(
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
                "istiod",
                webhooks=[hook],
            )
        )
        self.apply(objects)
        try:
            yield self._api
        finally:
            self.apply(self.objects)

    def _is_there(self, one: Json) -> bool:
        self._child.check()
        return self._api.has(one)

    def _started_agent(self) -> Child:
        secrets = self._directory / "var" / "run" / "secrets"
        (secrets / "tokens").mkdir(parents=True)
        (secrets / "istio").mkdir()
        token = self._api.token(self.way.account, "istio-ingress", "istio-ca")
        (secrets / "tokens" / "istio-token").write_text(token)
        authority = self._api.get(object_("v1", "Secret", "istio-ca-secret", "istio-system"))
        root = base64.b64decode(authority["data"]["ca-cert.pem"])
        (secrets / "istio" / "root-cert.pem").write_bytes(root)
        discovery = {"discoveryAddress": "istiod.istio-system.svc:15012"}
        more = {"PILOT_CERT_PROVIDER": "istiod", "CA_ADDR": "istiod.istio-system.svc:15012"}
        return istio_agent.started(self.way, self._directory, discovery, more)

    def stop(self) -> None:
        self._child.stop()

    def close(self) -> None:
        self._agent.stop()
        self.stop()
        self._api.apply(Objects())

    def _apply(self, objects: Objects) -> None:
        self._api.apply(objects)

    def children(self) -> list[Child]:
        return [self._child, self._agent]

    def log(self) -> str:
        return f"{self._child.log()}\n{self._agent.stdout_path.read_text()}\n{self._agent.log()}"
