"""canaille: the scopes of its JWTs are in its answers alone, so that it is asked about each."""

from __future__ import annotations

from pathlib import Path

from support.mcp_client import Login

from .. import asked, story
from ..gateway import Json
from ..servers.canaille import Canaille
from ..stage import Running, Stage, check


def start(directory: Path, resources: list[str]) -> Canaille:
    return Canaille(directory, resources=resources)


def without_introspection(configuration: Json) -> None:
    del configuration["issuers"][0]["introspection"]


def run(stage: Stage) -> None:
    with stage.running(start, edit=asked.remembered_shortly) as running:
        server = running.server
        story.discovery(stage, running)
        story.login(stage, running)
        got = server.login(running.url)
        story.accepted(stage, running, got["access_token"])
        story.refused(stage, running, {"no token": (None, 401, "credentials_missing")})
        registered(stage, running)
        asked.steps(stage, running, got)
    with stage.running(start, edit=without_introspection) as running:
        story.left_out(stage, "`introspection`", running, "scope_insufficient")


def registered(stage: Stage, running: Running) -> None:
    """A client that registers itself: the one that asks is not in the audience of its tokens."""
    login = Login(browse=running.server.browse)
    story.left_out(stage, "the audience of a client", running, "audience_not_allowed", login)
    check(login.client is not None, "it did not register")
