"""Everything a deployment has, real and on loopback: authorization server, Envoy, MCP server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from .authorization import AuthorizationServer
from .bootstrap import Json, Listener
from .envoy import Envoy
from .mcp_server import McpServer
from .ports import ReservedPort


class Stack:
    """`url` is the protected MCP endpoint, and the resource identifier of its tokens."""

    def __init__(
        self,
        directory: Path,
        wasm: Path,
        *,
        concurrency: int = 1,
        scopes: Sequence[str] = ("mcp:read",),
        issuer: Json | None = None,
        resource: Json | None = None,
        authorization: Json | None = None,
        log_level: str = "warning,wasm:info",
        public_port: int | None = None,
    ) -> None:
        """With `public_port`, that of a proxy in front of Envoy, clients are to go there."""
        self._stack = ExitStack()
        try:
            # The resource identifier has Envoy's port, and the other parts must know it first.
            port = self._stack.enter_context(ReservedPort()).number
            origin = f"http://127.0.0.1:{public_port or port}"
            self.url = f"{origin}/mcp"
            self.metadata_url = f"{origin}/.well-known/oauth-protected-resource/mcp"
            self.other_resource = "https://other.example.com/mcp"
            self.authorization = self._stack.enter_context(
                AuthorizationServer(
                    directory,
                    resources=[self.url, self.other_resource],
                    **(authorization or {}),
                )
            )
            self.server = self._stack.enter_context(McpServer(directory))
            self.configuration: dict[str, Any] = {
                "issuers": [
                    {"issuer": self.authorization.issuer, "cluster": "auth", **(issuer or {})}
                ],
                "resources": [{"resource": self.url, "scopes": list(scopes), **(resource or {})}],
            }
            listener = Listener(wasm=wasm, configuration=self.configuration, port=port)
            self.envoy = self._stack.enter_context(
                Envoy(
                    directory,
                    {"mcp": listener},
                    {"upstream": self.server.port, "auth": self.authorization.port},
                    concurrency=concurrency,
                    log_level=log_level,
                )
            )
        except BaseException:
            self._stack.close()
            raise

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
