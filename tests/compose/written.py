"""What `mcp-auth init --target compose` writes, started and logged in to."""

from __future__ import annotations

import json

from support import clients, paths, tool

from .deployment import RESOURCE, Deployment
from .scenarios import HYDRA, Stage, check


def written_by_init(stage: Stage) -> None:
    """the folder that `mcp-auth init` writes: healthy, and an SDK registers, logs in, calls"""
    folder = stage.directory / "written"
    values = {
        "--target": "compose",
        "--resource": RESOURCE,
        "--issuer": HYDRA,
        "--upstream": "mcp-server:3001",
        "--scope": "mcp",
        "--module": str(paths.wasm_module()),
    }
    done = tool.run("init", *(word for option in values.items() for word in option), str(folder))
    check(done.returncode == 0, done.stderr)
    with stage.deploy(services=["hydra", "login-consent", "mcp-server"]) as parts:
        parts.wait_healthy("hydra", "login-consent", "mcp-server")
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
                sdk = clients.PYTHON
                with clients.Client(stage.directory / "client", sdk, RESOURCE, clients.LEGACY) as client:
                    client.connect()
                    result = client.call("echo", {"message": "hello"})
                    check("hello" in json.dumps(result), str(result))
                    check(len(client.logins) == 1, f"{len(client.logins)} logins")
                report = tool.probe(RESOURCE)
                check(report["good"], f"the probe: {tool.marked(report, 'fail')}")
            except BaseException:
                stage.last_logs = deployment.logs("envoy")
                raise
    stage.say(f"{sdk.title}: registered, logged in, called; `mcp-auth probe`: good")
