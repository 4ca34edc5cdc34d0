"""Ory Hydra from its Go module (scripts/hydra), with the example's login page and configuration."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
from support import paths
from support.ports import free_port
from support.processes import Child

from .server import Introspection, Json, Server, wait_for

EXAMPLE = paths.REPOSITORY / "envoy" / "hydra"


class Hydra(Server):
    title = "Ory Hydra"
    page = "hydra.md"
    scope = "mcp"

    def __init__(
        self,
        directory: Path,
        *,
        resources: Sequence[str],
        settings: Mapping[str, str] | None = None,
        program: Path = paths.TOOLS / "hydra" / "hydra",
        clean_registration: bool = True,
    ) -> None:
        """`settings`: Hydra's own, by the names of its environment variables.

        Without `clean_registration` clients register at Hydra itself, and not by way of the page.
        """
        super().__init__()
        self._program = program
        public, admin, page = free_port(), free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{public}"
        self.admin = f"http://127.0.0.1:{admin}"
        register = f"http://127.0.0.1:{page}/register"
        environment = {
            "DSN": "memory",
            "SECRETS_SYSTEM": "only-for-trying-things-out",
            "LOG_LEVEL": "warn",
            "SQA_OPT_OUT": "true",
            "SERVE_PUBLIC_HOST": "127.0.0.1",
            "SERVE_PUBLIC_PORT": str(public),
            "SERVE_ADMIN_HOST": "127.0.0.1",
            "SERVE_ADMIN_PORT": str(admin),
            "URLS_SELF_ISSUER": self.issuer,
            "URLS_LOGIN": f"http://127.0.0.1:{page}/login",
            "URLS_CONSENT": f"http://127.0.0.1:{page}/consent",
            "WEBFINGER_OIDC_DISCOVERY_CLIENT_REGISTRATION_URL": register
            if clean_registration
            else f"{self.issuer}/oauth2/register",
            **(settings or {}),
        }
        try:
            self._hydra = self._stack.enter_context(
                Child(
                    "hydra",
                    [program, "serve", "all", "--dev", "--config", EXAMPLE / "hydra.yaml"],
                    directory,
                    environment=environment,
                )
            )
            self._page = self._stack.enter_context(
                Child(
                    "login-consent",
                    [sys.executable, EXAMPLE / "login_consent.py"],
                    directory,
                    environment={
                        "PORT": str(page),
                        "HYDRA_ADMIN_URL": self.admin,
                        "HYDRA_PUBLIC_URL": self.issuer,
                        "RESOURCES": " ".join(resources),
                    },
                )
            )
            wait_for(f"{self.admin}/health/ready", "Hydra", check=self._hydra.check)
            # The first request of each kind makes RSA keys of 4096 bits.
            for path in ("openid-configuration", "jwks.json"):
                url = f"{self.issuer}/.well-known/{path}"
                wait_for(url, f"Hydra's {path}", check=self._hydra.check)
            wait_for(f"http://127.0.0.1:{page}/health", "the login page", check=self._page.check)
        except BaseException:
            self.stop()
            raise

    @property
    def version(self) -> str:
        """Of the module that is built: what the program says of itself needs a release's flags."""
        module = (paths.REPOSITORY / "tests" / "support" / "hydra" / "go.mod").read_text()
        found = re.search(r"github.com/ory/hydra/v2 v(\S+)", module)
        assert found is not None
        return found[1]

    @property
    def introspection(self) -> Introspection:
        return Introspection(f"{self.admin}/admin/oauth2/introspect")

    def revoke(self, got: Json) -> str:
        httpx.delete(
            f"{self.admin}/admin/oauth2/auth/sessions/consent",
            params={"subject": "alice", "all": "true"},
            timeout=60,
        ).raise_for_status()
        return "the person's consents deleted by the admin API"

    def rotate(self) -> None:
        """The newest key signs at once; the older ones stay in the set.

        It is of another kind, for Hydra gives up on an RSA key that takes a busy machine too long.
        """
        asked = {"alg": "ES256", "use": "sig", "kid": str(uuid.uuid4())}
        url = f"{self.admin}/admin/keys/hydra.jwt.access-token"
        httpx.post(url, json=asked, timeout=120).raise_for_status()

    def clients(self) -> list[dict[str, object]]:
        return httpx.get(f"{self.admin}/admin/clients", timeout=60).json()

    def log(self) -> str:
        return self._hydra.log() + self._page.log()
