"""canaille from PyPI (scripts/providers --install), with its memory backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from support.code_flow import REDIRECT_URI, CodeFlow

from .python_server import PythonServer
from .server import Introspection, Json

SETTINGS = {"DYNAMIC_CLIENT_REGISTRATION_OPEN": True, "REQUIRE_NONCE": False}


class Canaille(PythonServer):
    """Its client `desk` is made by hand: `mcp-server` is in the audience of its tokens."""

    title = "canaille"
    page = "canaille.md"
    scope = "openid profile"
    registers = False
    answers: ClassVar[Mapping[str, str]] = {
        "login": "alice",
        "password": "alice-alice",
        "answer": "accept",
    }
    distribution = "canaille"
    program = "canaille_app.py"

    def __init__(
        self,
        directory: Path,
        *,
        resources: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """`settings`: of CANAILLE_OIDC, besides SETTINGS. It knows no resources."""
        super().__init__(
            directory, redirect_uris=[REDIRECT_URI], settings={**SETTINGS, **(settings or {})}
        )

    @property
    def introspection(self) -> Introspection:
        """As the client `mcp-server`: it is told only of tokens that have it in their audience."""
        return Introspection(f"{self.issuer}/oauth/introspect", "mcp-server", self._secret)

    def known_client(self, redirect_uri: str) -> Json:
        return {
            "client_id": "desk",
            "issuer": self.issuer,
            "redirect_uris": [redirect_uri],
            "token_endpoint_auth_method": "none",
        }

    def new_client(self, scope: str) -> CodeFlow:
        return CodeFlow(self.metadata(), "desk", browse=self.browse)

    def revoke(self, got: Json) -> str:
        """Public clients may not revoke."""
        self.new_client(self.scope).refresh(got["refresh_token"])
        return "refreshed away"

    def rotate(self) -> None:
        raise NotImplementedError("its keys are in its configuration")
