"""oidc-provider, as the tests' own authorization server is made with it."""

from __future__ import annotations

from pathlib import Path

from support.code_flow import LoginFailed

from .. import story
from ..servers.oidc_provider import OidcProvider
from ..stage import OTHER_RESOURCE, Stage, check


def run(stage: Stage) -> None:
    with stage.running(
        lambda where, resources: OidcProvider(where, resources=resources)
    ) as running:
        server = running.server
        story.discovery(stage, running)
        story.login(stage, running)
        story.rotation(stage, running, lambda: server.login(running.url)["access_token"])
        logged_in = server.login(running.url, "openid offline_access mcp:read")
        story.accepted(stage, running, logged_in["access_token"])
        attempts = {
            "no token": (None, 401, "credentials_missing"),
            "for another resource": (
                server.login(OTHER_RESOURCE)["access_token"],
                401,
                "audience_not_allowed",
            ),
            "ID token": (logged_in["id_token"], 401, "audience_not_allowed"),
            "refresh token": (logged_in["refresh_token"], 401, "token_malformed"),
        }
        story.refused(stage, running, attempts)
        try:
            server.login("https://unknown.example.com/mcp")
        except LoginFailed as error:
            check("invalid_target" in str(error), str(error))
            stage.saw("a resource that it does not know", "`invalid_target`, no token")

    def without_jwt(where: Path, resources: list[str]) -> OidcProvider:
        return OidcProvider(where, resources=resources, opaque=True)

    def without_resource(where: Path, resources: list[str]) -> OidcProvider:
        return OidcProvider(where, resources=resources[1:])

    with stage.running(without_jwt) as running:
        story.left_out(stage, "`accessTokenFormat: 'jwt'`", running, "token_malformed")
    with stage.running(without_resource) as running:
        story.left_out(stage, "the resource in `getResourceServerInfo`", running, "invalid_target")
