"""Keycloak from Maven (scripts/keycloak), with a realm made by its admin API as the page says."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import httpx
from support import paths
from support.code_flow import REDIRECT_URI, CodeFlow
from support.ports import free_port
from support.processes import Child

from .server import Introspection, Json, Server, wait_for

HOME = paths.TOOLS / "keycloak"
REALM = "acme"
POLICIES = "org.keycloak.services.clientregistration.policy.ClientRegistrationPolicy"


class Keycloak(Server):
    title = "Keycloak"
    page = "keycloak.md"
    scope = "mcp:tools"
    answers: ClassVar[Mapping[str, str]] = {"username": "alice", "password": "alice"}

    def __init__(
        self,
        directory: Path,
        *,
        resources: Sequence[str],
        features: bool = False,
        home: Path = HOME,
    ) -> None:
        """The realm has a scope with an audience mapper for each of `resources`.

        They are `mcp:tools` for the first one, then `mcp:tools-1` and so on. `features` takes the
        build with resource indicators and client ID metadata documents.
        """
        super().__init__()
        self._home = home / ("with-features" if features else "default")
        port = free_port()
        self.origin = f"http://127.0.0.1:{port}"
        self.issuer = f"{self.origin}/realms/{REALM}"
        self._password = secrets.token_hex(16)
        self._token, self._admin_until = "", 0.0
        self._asking: Introspection | None = None
        try:
            self._child = self._stack.enter_context(
                Child(
                    "keycloak",
                    [
                        self._home / "bin" / "kc.sh",
                        "start",
                        "--optimized",
                        "--http-enabled=true",
                        "--http-host=127.0.0.1",
                        f"--http-port={port}",
                        f"--hostname={self.origin}",
                        "--cache=local",
                    ],
                    directory,
                    environment={
                        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
                        "KC_BOOTSTRAP_ADMIN_PASSWORD": self._password,
                        # It lives for minutes: a quick start is worth more than a quick run.
                        "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
                    },
                )
            )
            wait_for(f"{self.origin}/realms/master", "Keycloak", check=self._child.check)
            self._make_realm(resources)
        except BaseException:
            self.stop()
            raise

    @property
    def version(self) -> str:
        return (self._home / "version.txt").read_text().split()[-1]

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the admin API; `path` is below the realm."""
        realm = f"/{REALM}" if path or method != "POST" else ""
        answer = httpx.request(
            method,
            f"{self.origin}/admin/realms{realm}{path}",
            json=body,
            headers={"authorization": f"Bearer {self._admin_token()}"},
            timeout=120,
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def _admin_token(self) -> str:
        """Kept for half its life: each login costs a hash of the password."""
        if time.monotonic() >= self._admin_until:
            asked = time.monotonic()
            answer = httpx.post(
                f"{self.origin}/realms/master/protocol/openid-connect/token",
                data={
                    "grant_type": "password",
                    "client_id": "admin-cli",
                    "username": "admin",
                    "password": self._password,
                },
                timeout=120,
            )
            got = answer.raise_for_status().json()
            self._token, self._admin_until = got["access_token"], asked + got["expires_in"] / 2
        return self._token

    def _make_realm(self, resources: Sequence[str]) -> None:
        self.admin("POST", "", {"realm": REALM, "enabled": True})
        self.add_user("alice")
        for number, resource in enumerate(resources):
            name = f"mcp:tools-{number}" if number else "mcp:tools"
            self.add_scope(name, audience_mapper(resource))
        self.set_policy("trusted-hosts", {"trusted-hosts": ["127.0.0.1"]})

    def add_user(self, name: str) -> str:
        """A user whose password is the name; the user's ID."""
        user = {
            "username": name,
            "email": f"{name}@example.com",
            "firstName": name.capitalize(),
            "lastName": "Example",
            "enabled": True,
            "credentials": [{"type": "password", "value": name}],
        }
        self.admin("POST", "/users", user)
        [made] = self.admin("GET", f"/users?exact=true&username={name}")
        return made["id"]

    def add_scope(self, name: str, *mappers: Json) -> str:
        """An optional client scope; its ID."""
        identifier = str(uuid.uuid4())
        scope = {
            "id": identifier,
            "name": name,
            "protocol": "openid-connect",
            "attributes": {"include.in.token.scope": "true"},
            "protocolMappers": list(mappers),
        }
        self.admin("POST", "/client-scopes", scope)
        self.admin("PUT", f"/default-optional-client-scopes/{identifier}")
        return identifier

    def scope_id(self, name: str) -> str:
        [found] = [one["id"] for one in self.admin("GET", "/client-scopes") if one["name"] == name]
        return found

    def set_policy(self, provider: str, config: dict[str, list[str]]) -> dict[str, list[str]]:
        """A policy for clients that register themselves; its former configuration."""
        [policy] = [
            one
            for one in self.admin("GET", f"/components?type={POLICIES}")
            if one["providerId"] == provider and one["subType"] == "anonymous"
        ]
        before = policy["config"]
        policy["config"] = {**before, **config}
        self.admin("PUT", f"/components/{policy['id']}", policy)
        return before

    def add_client(self, client_id: str, **members: Any) -> str:
        """A client made by hand, public unless `members` have a secret; its internal ID."""
        identifier = str(uuid.uuid4())
        client = {
            "id": identifier,
            "clientId": client_id,
            "publicClient": "secret" not in members,
            "redirectUris": [REDIRECT_URI],
            **members,
        }
        self.admin("POST", "/clients", client)
        return identifier

    def new_client(self, scope: str) -> CodeFlow:
        """A client that registers itself: for `openid` it may not register, only ask."""
        return super().new_client(" ".join(set(scope.split()) - {"openid"}))

    def set_lightweight(self, scope: str) -> None:
        """The scope's audience mappers put their claims into lightweight tokens too."""
        models = f"/client-scopes/{self.scope_id(scope)}/protocol-mappers/models"
        for mapper in self.admin("GET", models):
            if mapper["protocolMapper"] == "oidc-audience-mapper":
                mapper["config"]["lightweight.claim"] = "true"
                self.admin("PUT", f"{models}/{mapper['id']}", mapper)

    def client(self, client_id: str, secret: str | None = None) -> CodeFlow:
        return CodeFlow(self.metadata(), client_id, secret, browse=self.browse)

    def add_introspection(self, scope: str = "mcp:tools") -> Introspection:
        """A client that may ask about tokens of the scope: it has to be in their audience."""
        secret = secrets.token_hex(16)
        self.add_client("mcp-server", secret=secret, standardFlowEnabled=False)
        mapper = audience_mapper("mcp-server", client=True)
        self.admin("POST", f"/client-scopes/{self.scope_id(scope)}/protocol-mappers/models", mapper)
        endpoint = f"{self.issuer}/protocol/openid-connect/token/introspect"
        self._asking = Introspection(endpoint, "mcp-server", secret)
        return self._asking

    @property
    def introspection(self) -> Introspection | None:
        """By the client of `add_introspection`, once it is there."""
        return self._asking

    def set_client_policy(
        self, name: str, executors: Sequence[Json], conditions: Sequence[Json]
    ) -> None:
        """The realm's only client policy, with a profile of the same name."""
        profile = {"name": name, "executors": list(executors)}
        policy = {"name": name, "enabled": True, "conditions": list(conditions), "profiles": [name]}
        self.admin("PUT", "/client-policies/profiles", {"profiles": [profile]})
        self.admin("PUT", "/client-policies/policies", {"policies": [policy]})

    def rotate(self) -> None:
        """An RSA key of higher priority signs from now on; the old one stays in the set."""
        keys = self.admin("GET", "/components?type=org.keycloak.keys.KeyProvider")
        priority = max(int(one["config"].get("priority", ["0"])[0]) for one in keys) + 100
        component = {
            "name": f"rsa-{priority}",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": self.admin("GET", "")["id"],
            "config": {
                "priority": [str(priority)],
                "enabled": ["true"],
                "active": ["true"],
                "algorithm": ["RS256"],
            },
        }
        self.admin("POST", "/components", component)

    def log(self) -> str:
        return self._child.stdout_path.read_text() + self._child.log()


def audience_mapper(audience: str, *, client: bool = False) -> Json:
    """Puts a resource, or a client's ID, into `aud`."""
    return {
        "name": f"audience {audience}",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {
            f"included.{'client' if client else 'custom'}.audience": audience,
            "access.token.claim": "true",
            "id.token.claim": "false",
            "introspection.token.claim": "true",
        },
    }
