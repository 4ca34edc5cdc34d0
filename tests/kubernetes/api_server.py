"""A Kubernetes API server, and etcd: nothing else is needed where nothing is scheduled."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from control_plane import PATIENCE, Objects
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from support import paths
from support.processes import Child
from support.waiting import until

Json = dict[str, Any]

PROGRAMS = paths.TOOLS / "kubernetes"
PORT = 6443
_ETCD, _ETCD_PEERS = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
# Who has it may do everything. Nobody else is in this network.
_TOKEN = "of-this-test"


class Refused(AssertionError):
    """The server did not take an object, or had a warning."""


class ApiServer:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}
        self._applied = Objects()
        self.certificates = directory / "certificates"
        self.certificates.mkdir()
        (directory / "tokens.csv").write_text(f"{_TOKEN},admin,admin,system:masters\n")
        signing = self.certificates / "service-accounts.key"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        signing.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        self._etcd = Child("etcd", self._etcd_command(), directory)
        self._server = Child("kube-apiserver", self._server_command(signing), directory)
        self.kubeconfig = directory / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(self._kubeconfig()))
        until(self._is_ready, "the API server", timeout=PATIENCE, interval=0.2)

    def _etcd_command(self) -> list[str | Path]:
        return [
            PROGRAMS / "etcd",
            "--data-dir", self._directory / "etcd",
            "--listen-client-urls", _ETCD, "--advertise-client-urls", _ETCD,
            "--listen-peer-urls", _ETCD_PEERS, "--initial-advertise-peer-urls", _ETCD_PEERS,
            "--initial-cluster", f"default={_ETCD_PEERS}",
            "--unsafe-no-fsync", "--log-outputs", "stderr",
        ]  # fmt: skip

    def _server_command(self, signing: Path) -> list[str | Path]:
        """No controller manager makes service accounts; and roles are not what is tested."""
        return [
            PROGRAMS / "kube-apiserver",
            "--etcd-servers", _ETCD,
            "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
            "--secure-port", str(PORT), "--cert-dir", self.certificates,
            "--token-auth-file", self._directory / "tokens.csv",
            "--authorization-mode", "AlwaysAllow", "--anonymous-auth=false",
            "--service-account-issuer", "https://kubernetes.default.svc",
            "--service-account-key-file", signing, "--service-account-signing-key-file", signing,
            "--service-cluster-ip-range", "10.96.0.0/16", "--endpoint-reconciler-type", "none",
            "--disable-admission-plugins", "ServiceAccount",
        ]  # fmt: skip

    def _kubeconfig(self) -> Json:
        authority = str(self.certificates / "apiserver.crt")
        cluster = {"server": f"https://127.0.0.1:{PORT}", "certificate-authority": authority}
        context = {"cluster": "test", "user": "admin"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": _TOKEN}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }

    def _is_ready(self) -> bool:
        self._etcd.check()
        self._server.check()
        try:
            return self._ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def _ask(
        self, method: str, path: str, body: Any = None, kind: str = "application/json"
    ) -> tuple[int, Json, list[str]]:
        """Status, document and warnings."""
        context = ssl.create_default_context(cafile=str(self.certificates / "apiserver.crt"))
        connection = http.client.HTTPSConnection("127.0.0.1", PORT, context=context, timeout=60)
        headers = {"authorization": f"Bearer {_TOKEN}", "content-type": kind}
        connection.request(method, path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        warnings = answer.headers.get_all("warning") or []
        connection.close()
        document = json.loads(text) if text.startswith(b"{") else {"text": text.decode()}
        return answer.status, document, warnings

    def _path(self, one: Json) -> str:
        version, kind = one["apiVersion"], one["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._plurals:
            _, found, _ = self._ask("GET", root)
            for each in found.get("resources", []):
                if "/" not in each["name"]:
                    key = (version, each["kind"])
                    self._plurals[key] = (each["name"], each["namespaced"])
        plural, namespaced = self._plurals[version, kind]
        where = f"/namespaces/{one['metadata']['namespace']}" if namespaced else ""
        return f"{root}{where}/{plural}/{one['metadata']['name']}"

    def apply_one(self, one: Json, *, dry: bool = False) -> list[str]:
        """As `kubectl apply --server-side --validate=strict` does; the warnings."""
        query = "?fieldManager=test&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        status, answer, warnings = self._ask(
            "PATCH", self._path(one) + query, one, "application/apply-patch+yaml"
        )
        if status not in (200, 201):
            raise Refused(f"{one['kind']} {one['metadata']['name']}: {answer.get('message')}")
        return warnings

    def apply(self, objects: Objects) -> None:
        """These are there from now on, and of those that were applied before no others."""
        wanted = {self._path(one): one for one in objects}
        for path in {self._path(one) for one in self._applied} - wanted.keys():
            status, answer, _ = self._ask("DELETE", path)
            assert status in (200, 202), answer
        for one in wanted.values():
            self.apply_one(one)
        self._applied = objects.copy()

    def get(self, one: Json) -> Json:
        status, answer, _ = self._ask("GET", self._path(one))
        assert status == 200, answer
        return answer

    def has(self, one: Json) -> bool:
        return self._ask("GET", self._path(one))[0] == 200

    def list(self, path: str) -> list[Json]:
        status, answer, _ = self._ask("GET", path)
        assert status == 200, answer
        return answer["items"]

    def token(self, account: str, namespace: str, audience: str) -> str:
        """Of a service account."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        spec = {"audiences": [audience], "expirationSeconds": 7200}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        status, answer, _ = self._ask("POST", path, request)
        assert status == 201, answer
        return answer["status"]["token"]

    def define(self, files: Iterable[Path]) -> None:
        """CustomResourceDefinitions; waits until they are served."""
        made = []
        for file in files:
            for one in yaml.load_all(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
                if one and one["kind"] == "CustomResourceDefinition":
                    self.apply_one(one)
                    made.append(one)
        for one in made:
            until(lambda one=one: _established(self.get(one)), one["metadata"]["name"], timeout=PATIENCE)

    def stop(self) -> None:
        self._server.stop()
        self._etcd.stop()

    def log(self) -> str:
        return self._server.log()


def _established(crd: Json) -> bool:
    conditions = crd.get("status", {}).get("conditions", [])
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
