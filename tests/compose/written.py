"""What `mcp-auth init --target compose` writes, started and logged in to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
from support import clients, paths, tool

from .deployment import RESOURCE, Deployment
from .scenarios import HYDRA, SCOPE, Stage, check, new_login, until_status

ENDPOINT = "http://localhost:4445/admin/oauth2/introspect"
"""Of Hydra's admin port, which wants no credentials."""
SECRET = "introspection-secret.yaml"


def written_by_init(stage: Stage) -> None:
    """the folder that `mcp-auth init` writes: healthy, and an SDK registers, logs in, calls"""
    with _started(stage):
        _log_in(stage)
        report = tool.probe(RESOURCE)
        check(report["good"], f"the probe: {tool.marked(report, 'fail')}")
    stage.say(f"{clients.PYTHON.title}: registered, logged in, called; `mcp-auth probe`: good")


def written_by_init_opaque(stage: Stage) -> None:
    """the same with `--introspection`: opaque tokens, until they are revoked"""
    opaque = ["docker-compose.opaque.yaml"]
    with _started(stage, "--introspection", ENDPOINT, more_files=opaque) as deployment:
        _log_in(stage)
        login = new_login()
        token = login.login(resource=RESOURCE, scope=SCOPE)["access_token"]
        check(token.startswith("ory_at_"), "the access token is not opaque")
        until_status(deployment, token, 200)
        form = {"token": token, "client_id": login.client_id}
        httpx.post(f"{HYDRA}/oauth2/revoke", data=form, timeout=60).raise_for_status()
        took = until_status(deployment, token, 401)
    stage.say(
        f"{clients.PYTHON.title}: registered, logged in, called; "
        f"revoked: 401 after {took:.1f} s, cache_seconds 30"
    )


@contextmanager
def _started(
    stage: Stage, *options: str, more_files: Sequence[str] = ()
) -> Iterator[Deployment]:
    """The folder's Envoy, before the other services of the example, with `more_files` over it."""
    folder = stage.directory / "written"
    values = {
        "--target": "compose",
        "--resource": RESOURCE,
        "--issuer": HYDRA,
        "--upstream": "mcp-server:3001",
        "--scope": "mcp",
        "--module": str(paths.wasm_module()),
    }
    given = [word for option in values.items() for word in option]
    done = tool.run("init", *given, *options, str(folder))
    check(done.returncode == 0, done.stderr)
    if (secret := folder / SECRET).exists():
        # As the README there says: readable for Envoy's user alone.
        os.chown(secret, 101, -1)
    services = ["hydra", "login-consent", "mcp-server"]
    with stage.deploy(services=services, more_files=more_files) as parts:
        parts.wait_healthy(*services)
        file = folder / "docker-compose.yaml"
        text = file.read_text()
        # The servers are containers here, and not programs of this machine.
        machine = "host.docker.internal:host-gateway"
        check(text.count(machine) == 1, text)
        text = text.replace(machine, f"host.docker.internal:{parts.addresses('hydra')[0]}")
        network = {"networks": {"default": {"external": True, "name": parts.network()}}}
        file.write_text(f"{text}\n{json.dumps(network)[1:-1]}\n")
        with Deployment(
            stage.engine, folder, compose_file=file, project="mcp-auth-written"
        ) as deployment:
            try:
                deployment.wait_healthy("envoy")
                yield deployment
            except BaseException:
                stage.last_logs = deployment.logs("envoy")
                raise


def _log_in(stage: Stage) -> None:
    with clients.Client(
        stage.directory / "client", clients.PYTHON, RESOURCE, clients.LEGACY
    ) as client:
        client.connect()
        result = client.call("echo", {"message": "hello"})
        check("hello" in json.dumps(result), str(result))
        check(len(client.logins) == 1, f"{len(client.logins)} logins")
