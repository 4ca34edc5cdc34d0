"""Django OAuth Toolkit: its tokens are opaque, so that it is asked about each."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from .. import asked, story
from ..gateway import Json
from ..servers.django_oauth_toolkit import DjangoOAuthToolkit
from ..stage import OTHER_RESOURCE, Stage


def start(directory: Path, resources: list[str], **settings: Any) -> DjangoOAuthToolkit:
    return DjangoOAuthToolkit(directory, resources=resources, settings=settings)


def without_introspection(configuration: Json) -> None:
    """Then it needs the cluster for keys that there are not."""
    [issuer] = configuration["issuers"]
    del issuer["introspection"]
    issuer["cluster"] = "auth"


def run(stage: Stage) -> None:
    with stage.running(start, edit=asked.remembered_shortly) as running:
        server = running.server
        story.places(stage, running)
        story.login(stage, running)
        attempts = {
            "no token": (None, 401, "credentials_missing"),
            "for another resource": (
                server.login(OTHER_RESOURCE)["access_token"],
                401,
                "audience_not_allowed",
            ),
            "without `resource`": (
                server.login(None)["access_token"],
                401,
                "audience_not_allowed",
            ),
        }
        story.refused(stage, running, attempts)
        asked.steps(stage, running, server.login(running.url))
    with stage.running(start, edit=without_introspection) as running:
        story.left_out(stage, "`introspection`", running, "token_malformed")
    for step, settings, expected in (
        ("`DCR_ENABLED`", {"DCR_ENABLED": False}, "egist"),
        (
            "`DCR_REGISTRATION_PERMISSION_CLASSES`",
            {
                "DCR_REGISTRATION_PERMISSION_CLASSES": (
                    "oauth2_provider.dcr.IsAuthenticatedDCRPermission",
                )
            },
            "egist",
        ),
        ("the scope in `SCOPES`", {"SCOPES": {"read": "Read"}}, "scope"),
    ):
        with stage.running(partial(start, **settings), edit=asked.remembered_shortly) as running:
            story.left_out(stage, step, running, expected)
