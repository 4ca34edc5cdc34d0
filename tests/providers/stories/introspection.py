"""Servers that are asked about tokens (RFC 7662): opaque ones, and JWTs besides their signature.

Each by a real Envoy that adds the credentials, with a login of the official Python SDK's client.
Those whose tokens cannot do without have stories of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .. import asked, story
from ..servers.better_auth import BetterAuth
from ..servers.hydra import Hydra
from ..servers.keycloak import Keycloak
from ..servers.oidc_provider import OidcProvider
from ..servers.server import Server
from ..stage import Running, Stage, check

# The page's configuration with `introspection` is its second one.
SECOND = 1


def run(stage: Stage) -> None:
    hydra_opaque = {"STRATEGIES_ACCESS_TOKEN": "opaque"}
    opaque, everything = asked.remembered_shortly, asked.about_everything
    tried(stage, "keycloak lightweight", lightweight, opaque, also=unasked)
    tried(stage, "better-auth", BetterAuth, opaque)
    tried(stage, "oidc-provider", partial(OidcProvider, opaque=True), opaque)
    tried(stage, "hydra opaque", partial(Hydra, settings=hydra_opaque), opaque)
    tried(stage, "hydra jwt", Hydra, everything)


def tried(
    stage: Stage,
    part: str,
    start: Callable[..., Server],
    edit: Callable[..., None],
    also: Callable[[Stage, Running], None] = lambda *_: None,
) -> None:
    def started(directory: Path, resources: list[str]) -> Server:
        return start(directory, resources=resources)

    stage.part = part
    with stage.running(started, number=SECOND, edit=edit) as running:
        story.login(stage, running)
        asked.steps(stage, running, running.server.login(running.url))
        also(stage, running)
    stage.part = ""


def lightweight(directory: Path, *, resources: list[str]) -> Keycloak:
    """All tokens are lightweight, as its page says."""
    server = Keycloak(directory, resources=resources)
    server.add_introspection()
    server.set_lightweight("mcp:tools")
    server.set_client_policy(
        "lightweight",
        [{"executor": "use-lightweight-access-token", "configuration": {"auto-configure": True}}],
        [{"condition": "any-client", "configuration": {}}],
    )
    return server


def unasked(stage: Stage, running: Running) -> None:
    """The client that asks is not in the audience: since 26.6.2 it is told nothing."""
    server = running.server
    assert isinstance(server, Keycloak)
    token = server.login(running.url)["access_token"]
    claims = story.claims(token)
    check("sub" not in claims, claims)
    stage.saw("the token itself", ", ".join(sorted(claims)))
    models = f"/client-scopes/{server.scope_id('mcp:tools')}/protocol-mappers/models"
    [mapper] = [one for one in server.admin("GET", models) if one["name"] == "audience mcp-server"]
    server.admin("DELETE", f"{models}/{mapper['id']}")
    story.left_out(stage, "the mapper for the client that asks", running, "token_inactive")
