"""glewlwyd: its access tokens are JWTs, and it is asked about each, so that a revocation holds."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from support.code_flow import CodeFlow, LoginFailed

from .. import asked, story
from ..gateway import Json
from ..servers.glewlwyd import Glewlwyd
from ..stage import OTHER_RESOURCE, Running, Stage, check


def start(directory: Path, resources: list[str], **plugin: Any) -> Glewlwyd:
    return Glewlwyd(directory, resources=resources, plugin=plugin)


def without_introspection(configuration: Json) -> None:
    del configuration["issuers"][0]["introspection"]


def run(stage: Stage) -> None:
    with stage.running(start, edit=asked.remembered_shortly) as running:
        server = running.server
        assert isinstance(server, Glewlwyd)
        story.discovery(stage, running)
        story.login(stage, running)
        got = server.login(running.url)
        story.accepted(stage, running, got["access_token"])
        another = server.login(OTHER_RESOURCE)["access_token"]
        without = server.login(None)["access_token"]
        attempts = {
            "no token": (None, 401, "credentials_missing"),
            "for another resource": (another, 401, "audience_not_allowed"),
            "without `resource`": (without, 401, "audience_not_allowed"),
        }
        story.refused(stage, running, attempts)
        asked.steps(stage, running, got)
        public_clients(stage, running, server)
        openid(stage, running, server)
    # A new key needs a reset, and for that moment nobody can be asked.
    with stage.running(start, edit=without_introspection) as running:
        server = running.server
        story.rotation(stage, running, lambda: server.login(running.url)["access_token"])
    steps: dict[str, tuple[dict[str, Any], str]] = {
        "*Required scopes in the access token*": (
            {"introspection-revocation-auth-scope": []},
            "token_inactive",
        ),
        "*Resource list by scope*": (
            {"resource-scope": {Glewlwyd.scope: [OTHER_RESOURCE]}},
            "invalid_target",
        ),
        "*Allow resource indicators*": ({"resource-allowed": False}, "audience_not_allowed"),
        "*Allow client registration via API /register*": ({"register-client-allowed": False}, "egist"),
        "*PKCE allowed*": ({"pkce-allowed": False}, "invalid_request"),
        "*Allow non OIDC but valid OAuth2 requests*": ({"allow-non-oidc": False}, "scope"),
    }
    for step, (plugin, expected) in steps.items():
        with stage.running(partial(start, **plugin), edit=asked.remembered_shortly) as running:
            story.left_out(stage, step, running, expected)


def public_clients(stage: Stage, running: Running, server: Glewlwyd) -> None:
    """Without a secret: registered by itself, it gets no token; made by hand, it does."""
    itself = CodeFlow.registered(server.metadata(), scope=server.scope)
    try:
        got = log_in(server, itself, running.url)
    except LoginFailed as error:
        check("403" in str(error), str(error))
        stage.saw("registered with `none`", " ".join(str(error).split()))
    else:
        raise AssertionError(f"a client without a secret got {sorted(got)}")
    server.add_public_client("desk")
    got = log_in(server, CodeFlow(server.metadata(), "desk"), running.url)
    judged = running.gateway.judged(got["access_token"])
    check(judged == (200, None), f"made by hand: {judged}")
    stage.saw("without a secret, made by hand", "200")


def log_in(server: Glewlwyd, client: CodeFlow, resource: str) -> dict[str, Any]:
    client = dataclasses.replace(client, browse=server.browse)
    return client.login(resource=resource, scope=server.scope)


def openid(stage: Stage, running: Running, server: Glewlwyd) -> None:
    try:
        server.login(running.url, f"openid {server.scope}")
    except LoginFailed as error:
        stage.saw("scope `openid` without a nonce", " ".join(str(error).split())[:160])
    else:
        raise AssertionError("a nonce is not needed any more")
