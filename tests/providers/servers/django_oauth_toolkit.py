"""Django OAuth Toolkit from PyPI (scripts/providers --install), in the small project of django_app.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from .python_server import PythonServer
from .server import Introspection

SETTINGS = {
    "SCOPES": {"mcp:tools": "Use the tools"},
    "DCR_ENABLED": True,
    "DCR_REGISTRATION_PERMISSION_CLASSES": ("oauth2_provider.dcr.AllowAllDCRPermission",),
    "ALLOWED_SCHEMES": ["http", "https"],
}


class DjangoOAuthToolkit(PythonServer):
    title = "Django OAuth Toolkit"
    page = "django-oauth-toolkit.md"
    scope = "mcp:tools"
    answers: ClassVar[Mapping[str, str]] = {"username": "alice", "password": "alice"}
    distribution = "django_oauth_toolkit"
    program = "django_app.py"

    def __init__(
        self,
        directory: Path,
        *,
        resources: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """`settings`: of OAUTH2_PROVIDER, besides SETTINGS. It takes any resource."""
        super().__init__(directory, settings={**SETTINGS, **(settings or {})})

    @property
    def introspection(self) -> Introspection:
        return Introspection(f"{self.issuer}/introspect/", "mcp-server", self._secret)

    def rotate(self) -> None:
        raise NotImplementedError("its access tokens are opaque")
