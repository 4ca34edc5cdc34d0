"""canaille from PyPI (scripts/providers --install), with its memory backend."""

from __future__ import annotations

import importlib.metadata
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from support import paths
from support.code_flow import REDIRECT_URI, CodeFlow
from support.ports import free_port
from support.processes import Child

from .server import PATIENCE, Introspection, Server

PACKAGES = paths.TOOLS / "provider-servers" / "canaille"


class Canaille(Server):
    title = "canaille"
    page = "canaille.md"
    scope = "openid"
    answers: ClassVar[Mapping[str, str]] = {
        "login": "alice",
        "password": "alice-alice",
        "answer": "accept",
    }

    def __init__(
        self,
        directory: Path,
        *,
        resources: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        packages: Path = PACKAGES,
    ) -> None:
        """`settings`: of CANAILLE_OIDC. It knows no resources."""
        super().__init__()
        self._packages = packages
        port = free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        self._secret = secrets.token_hex(16)
        options = {
            "port": port,
            "secret": self._secret,
            "redirect_uris": [REDIRECT_URI],
            "settings": {
                "DYNAMIC_CLIENT_REGISTRATION_OPEN": True,
                "REQUIRE_NONCE": False,
                **(settings or {}),
            },
        }
        try:
            self._child = self._stack.enter_context(
                Child(
                    "canaille",
                    # -P: a file of this folder has the package's name.
                    [
                        sys.executable,
                        "-P",
                        Path(__file__).with_name("canaille_app.py"),
                        json.dumps(options),
                    ],
                    directory,
                    environment={"PYTHONPATH": str(packages)},
                )
            )
            self._child.first_json_line(timeout=PATIENCE)
        except BaseException:
            self.stop()
            raise

    @property
    def version(self) -> str:
        [found] = importlib.metadata.distributions(name="canaille", path=[str(self._packages)])
        return found.version

    @property
    def introspection(self) -> Introspection:
        """As the client `mcp-server`: it is told only of tokens that have it in their audience."""
        return Introspection(f"{self.issuer}/oauth/introspect", "mcp-server", self._secret)

    def hand_made_client(self) -> CodeFlow:
        """One whose tokens have `mcp-server` in their audience too, so that it may ask."""
        return CodeFlow(self.metadata(), "desk", browse=self.browse)

    def rotate(self) -> None:
        raise NotImplementedError("its keys are in its configuration")

    def log(self) -> str:
        return self._child.log()
