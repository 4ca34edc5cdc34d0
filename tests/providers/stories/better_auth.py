"""Better Auth's OAuth provider, with the resources known and registration open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import story
from ..servers.better_auth import BetterAuth
from ..stage import OTHER_RESOURCE, Stage


def start(directory: Path, resources: list[str], **options: Any) -> BetterAuth:
    return BetterAuth(directory, resources=resources, **options)


def run(stage: Stage) -> None:
    with stage.running(start) as running:
        server = running.server
        story.discovery(stage, running)
        story.login(stage, running)
        story.rotation(stage, running, lambda: server.login(running.url)["access_token"])
        logged_in = server.login(running.url, "openid offline_access mcp:tools")
        story.accepted(stage, running, logged_in["access_token"])
        another = server.login(OTHER_RESOURCE)["access_token"]
        without = server.login(None)["access_token"]
        attempts = {
            "no token": (None, 401, "credentials_missing"),
            "for another resource": (another, 401, "audience_not_allowed"),
            "without `resource`": (without, 401, "token_malformed"),
            "ID token": (logged_in["id_token"], 401, "audience_not_allowed"),
            "refresh token": (logged_in["refresh_token"], 401, "token_malformed"),
        }
        story.refused(stage, running, attempts)
    steps: dict[str, tuple[dict[str, Any], str]] = {
        "`allowDynamicClientRegistration`": ({"allowDynamicClientRegistration": False}, "egist"),
        "`clientRegistrationDefaultResources`": (
            {"clientRegistrationDefaultResources": []},
            "invalid_target",
        ),
        "the resource in `resources`": (
            {"resources": [OTHER_RESOURCE], "clientRegistrationDefaultResources": [OTHER_RESOURCE]},
            "invalid_target",
        ),
    }
    for step, (provider, expected) in steps.items():

        def without_it(directory: Path, resources: list[str], given: Any = provider) -> BetterAuth:
            return start(directory, resources, provider=given)

        with stage.running(without_it) as running:
            story.left_out(stage, step, running, expected)
