"""Ory Hydra, with the example's configuration and login page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from support import clients

from .. import story
from ..servers.hydra import Hydra
from ..stage import OTHER_RESOURCE, Running, Stage, check


def start(directory: Path, resources: list[str], **options: object) -> Hydra:
    return Hydra(directory, resources=resources, **options)


def run(stage: Stage) -> None:
    with stage.running(start) as running:
        server = running.server
        story.discovery(stage, running)
        story.login(stage, running)
        story.rotation(stage, running, lambda: server.login(running.url)["access_token"])
        logged_in = server.login(running.url, "openid offline_access mcp")
        story.accepted(stage, running, logged_in["access_token"])
        story.refused(
            stage,
            running,
            {
                "no token": (None, 401, "credentials_missing"),
                "for another resource": (
                    server.login(OTHER_RESOURCE)["access_token"],
                    401,
                    "audience_not_allowed",
                ),
                "without `resource`": (server.login(None)["access_token"], 401, "claims_malformed"),
                "ID token": (logged_in["id_token"], 401, "audience_not_allowed"),
                "refresh token": (logged_in["refresh_token"], 401, "token_malformed"),
                "no scope": (
                    server.login(running.url, "openid")["access_token"],
                    403,
                    "scope_insufficient",
                ),
            },
        )
    steps = {
        "`strategies.access_token: jwt`": (
            partial(start, settings={"STRATEGIES_ACCESS_TOKEN": "opaque"}),
            "token_malformed",
        ),
        "registration by way of the login page": (
            partial(start, clean_registration=False),
            "the login works",
        ),
        "the audience at the consent page": (
            lambda directory, resources: start(directory, resources[1:]),
            "claims_malformed",
        ),
        "`oidc.dynamic_client_registration`": (
            partial(start, settings={"OIDC_DYNAMIC_CLIENT_REGISTRATION_ENABLED": "false"}),
            "egist",
        ),
    }
    for step, (made, expected) in steps.items():
        with stage.running(made) as running:
            story.left_out(stage, step, running, expected)
            if "registration by way" in step:
                typescript(stage, step, running)


def typescript(stage: Stage, step: str, running: Running) -> None:
    """The official TypeScript SDK, which is stricter than the Python SDK there."""
    sdk = clients.TYPESCRIPT_1
    with clients.Client(stage.directory / sdk.name, sdk, running.url, clients.LEGACY) as client:
        try:
            client.connect()
        except clients.ClientFailed as error:
            said = " ".join(str(error).split())
        else:
            said = "nothing: the login works"
    check("client_uri" in said, said)
    stage.saw(f"left out: {step}", f"{sdk.title} {sdk.version()}: {said[:160]}")
