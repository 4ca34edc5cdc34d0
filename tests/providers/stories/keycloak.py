"""Keycloak: with an audience mapper, as most run it; and with its experimental features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import story
from ..servers.keycloak import Keycloak
from ..stage import Running, Stage


def start(directory: Path, resources: list[str], **options: Any) -> Keycloak:
    return Keycloak(directory, resources=resources, **options)


def run(stage: Stage) -> None:
    with stage.running(start) as running:
        server = running.server
        assert isinstance(server, Keycloak)
        story.discovery(stage, running)
        story.login(stage, running)
        story.rotation(stage, running, lambda: server.login(running.url)["access_token"])
        logged_in = server.login(running.url, "openid mcp:tools")
        story.accepted(stage, running, logged_in["access_token"])
        refusals(stage, running, logged_in)


def refusals(stage: Stage, running: Running, logged_in: dict[str, Any]) -> None:
    server = running.server
    story.refused(
        stage,
        running,
        {
            "no token": (None, 401, "credentials_missing"),
            "for another resource": (
                server.login(None, "mcp:tools-1")["access_token"],
                401,
                "audience_not_allowed",
            ),
            "scope not asked for": (
                server.login(running.url, "openid")["access_token"],
                401,
                "claims_malformed",
            ),
            "ID token": (logged_in["id_token"], 401, "not_an_access_token"),
            "refresh token": (logged_in["refresh_token"], 401, "algorithm_not_allowed"),
        },
    )
