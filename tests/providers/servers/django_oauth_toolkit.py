"""Django OAuth Toolkit from PyPI (scripts/providers --install), in the small project of django_app.py."""

from __future__ import annotations

import importlib.metadata
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from support import paths
from support.ports import free_port
from support.processes import Child

from .server import PATIENCE, Introspection, Server

PACKAGES = paths.TOOLS / "provider-servers" / "django_oauth_toolkit"

SETTINGS = {
    "SCOPES": {"mcp:tools": "Use the tools"},
    "DCR_ENABLED": True,
    "DCR_REGISTRATION_PERMISSION_CLASSES": ("oauth2_provider.dcr.AllowAllDCRPermission",),
    "ALLOWED_SCHEMES": ["http", "https"],
}


class DjangoOAuthToolkit(Server):
    title = "Django OAuth Toolkit"
    page = "django-oauth-toolkit.md"
    scope = "mcp:tools"
    answers: ClassVar[Mapping[str, str]] = {"username": "alice", "password": "alice"}

    def __init__(
        self,
        directory: Path,
        *,
        resources: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        packages: Path = PACKAGES,
    ) -> None:
        """`settings`: of OAUTH2_PROVIDER, besides SETTINGS. It takes any resource."""
        super().__init__()
        self._packages = packages
        port = free_port()
        self.issuer = f"http://127.0.0.1:{port}"
        self._secret = secrets.token_hex(16)
        directory.mkdir(parents=True, exist_ok=True)
        options = {
            "port": port,
            "directory": str(directory),
            "secret": self._secret,
            "settings": {**SETTINGS, **(settings or {})},
        }
        try:
            self._child = self._stack.enter_context(
                Child(
                    "django",
                    [
                        sys.executable,
                        Path(__file__).with_name("django_app.py"),
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
        [found] = importlib.metadata.distributions(
            name="django-oauth-toolkit", path=[str(self._packages)]
        )
        return found.version

    @property
    def introspection(self) -> Introspection:
        return Introspection(f"{self.issuer}/introspect/", "mcp-server", self._secret)

    def rotate(self) -> None:
        raise NotImplementedError("its access tokens are opaque")

    def log(self) -> str:
        return self._child.log()
