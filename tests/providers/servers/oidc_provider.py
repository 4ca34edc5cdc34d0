"""oidc-provider from npm (scripts/setup): the server of the other tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from support import paths
from support.authorization import AuthorizationServer

from .server import Introspection, Server


class OidcProvider(Server):
    title = "oidc-provider"
    page = "oidc-provider.md"
    scope = "mcp:read"

    def __init__(self, directory: Path, *, resources: Sequence[str], **options: Any) -> None:
        """`options`: of authorization_server/server.mjs."""
        super().__init__()
        self.inner = self._stack.enter_context(
            AuthorizationServer(directory, resources=resources, **options)
        )
        self.issuer = self.inner.issuer

    @property
    def version(self) -> str:
        modules = paths.AUTHORIZATION_SERVER_MODULES / "node_modules" / "oidc-provider"
        return json.loads((modules / "package.json").read_text())["version"]

    @property
    def introspection(self) -> Introspection | None:
        """Of the client `mcp-server`, where `options` have `opaque`."""
        endpoint = self.metadata().get("introspection_endpoint")
        return Introspection(endpoint, "mcp-server", "for-tests-only") if endpoint else None

    def rotate(self) -> None:
        self.inner.rotate(drop_old=False)

    def log(self) -> str:
        return self.inner.log()
