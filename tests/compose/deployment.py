"""envoy/docker-compose.yaml, brought up on an engine, and what a scenario lays over it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import yaml
from support import http1, paths
from support.waiting import until

from .engine import Engine

PROJECT = "mcp-auth"
PORT = 8080
HOST = f"localhost:{PORT}"
RESOURCE = f"http://{HOST}/mcp"
METADATA = "/.well-known/oauth-protected-resource/mcp"
SERVICES = ("envoy", "hydra", "login-consent", "mcp-server")

Json = dict[str, Any]


class Deployment:
    """The example as it is shipped; `overlay` is a Compose file over it."""

    def __init__(
        self,
        engine: Engine,
        directory: Path,
        *,
        more_files: Iterable[str] = (),
        overlay: Json | None = None,
        edit_envoy: Callable[[str], str] | None = None,
        services: Iterable[str] = (),
        compose_file: Path = paths.REPOSITORY / "envoy" / "docker-compose.yaml",
        project: str = PROJECT,
    ) -> None:
        """`more_files` of `envoy/` are laid over the example first, then `overlay`.

        `edit_envoy` gives another Envoy configuration; only `services` are started, if named.
        """
        self.engine = engine
        self.directory = directory
        files = [compose_file, *(paths.REPOSITORY / "envoy" / name for name in more_files)]
        self.envoy_file = directory / "envoy.yaml"
        overlay = overlay or {}
        if edit_envoy is not None:
            self.write_envoy(edit_envoy)
            overlay.setdefault("services", {}).setdefault("envoy", {})["volumes"] = [
                f"{self.envoy_file}:/etc/envoy/envoy.yaml:ro"
            ]
        if overlay:
            extra = directory / "overlay.yaml"
            extra.write_text(yaml.safe_dump(overlay))
            files.append(extra)
        self._compose = [
            *engine.compose(),
            f"--project-name={project}",
            *(f"--file={file}" for file in files),
        ]
        try:
            self.run("up", "--detach", *services)
        except BaseException:
            self.stop()
            raise

    def write_envoy(self, edit: Callable[[str], str]) -> None:
        shipped = (paths.REPOSITORY / "envoy" / "hydra" / "envoy.yaml").read_text()
        # In place: a file that is mounted is known by its inode.
        with self.envoy_file.open("w") as file:
            file.write(edit(shipped))
        self.envoy_file.chmod(0o644)

    def run(self, *arguments: str, timeout: float = 300) -> str:
        return self.engine.run(*self._compose, *arguments, timeout=timeout)

    def container(self, service: str) -> str:
        return self.run("ps", "--quiet", service).strip()

    def inspect(self, service: str) -> Json:
        return json.loads(self.engine.run("docker", "inspect", self.container(service)))[0]

    def health(self, service: str) -> str:
        state = self.inspect(service)["State"]
        return state.get("Health", {}).get("Status", state["Status"])

    def wait_healthy(self, *services: str, timeout: float = 120) -> None:
        for service in services:
            until(
                lambda service=service: self.health(service) in ("healthy", "running"),
                f"{service} to be healthy (it is {self.health(service)}): {self.logs(service)[-800:]}",
                timeout=timeout,
                interval=0.3,
            )

    def logs(self, service: str) -> str:
        done = self.engine.try_run("docker", "logs", self.container(service))
        return done.stdout + done.stderr

    def addresses(self, service: str) -> list[str]:
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return [network["IPAddress"] for network in networks.values()]

    def network(self) -> str:
        (name,) = self.inspect("hydra")["NetworkSettings"]["Networks"]
        return name

    def post(self, token: str | None = None, path: str = "/mcp", **options: Any) -> http1.Response:
        """`initialize`, as a client sends it."""
        headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ]
        if token is not None:
            headers.append(("authorization", f"Bearer {token}"))
        return http1.request(
            PORT, "POST", path, headers, json.dumps(INITIALIZE).encode(), host=HOST, **options
        )

    def status(self, token: str | None = None) -> int:
        """As `post`; 0 where nobody answers."""
        try:
            return self.post(token).status
        except OSError:
            return 0

    def stop(self) -> None:
        self.engine.try_run(*self._compose, "down", "--volumes", "--timeout=3")
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


INITIALIZE: Json = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "compose", "version": "1"},
    },
}


def with_issuer(members: str) -> Callable[[str], str]:
    """Adds members to the issuer of the filter's configuration."""

    def edit(text: str) -> str:
        changed, count = re.subn(
            r'("cluster": "authorization_server")', rf"\1, {members}", text, count=1
        )
        assert count == 1, "the example's issuer has changed"
        return changed

    return edit
