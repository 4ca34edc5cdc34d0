"""What runs on the deployment; each scenario is a sentence that it shows."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from support import clients, http1, paths
from support.code_flow import CodeFlow
from support.waiting import until

from .deployment import (
    HOST,
    INITIALIZE,
    METADATA,
    PORT,
    RESOURCE,
    SERVICES,
    Deployment,
    with_issuer,
)
from .engine import Engine

HYDRA = "http://localhost:4444"
SCOPE = "openid offline_access mcp"
MEMORY_BYTES = 256 * 1024 * 1024
PATIENCE = 300.0
"""For a machine that does much else at once."""


@dataclass
class Stage:
    engine: Engine
    directory: Path
    say: Callable[[str], None]
    last_logs: str = ""
    """Envoy's, where a scenario failed."""

    @contextmanager
    def deploy(self, **options: Any) -> Iterator[Deployment]:
        directory = self.directory / "deployment"
        directory.mkdir()
        with Deployment(self.engine, directory, **options) as deployment:
            try:
                yield deployment
            except BaseException:
                self.last_logs = self.last_logs or deployment.logs("envoy")
                raise


def check(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def hydra_answers(path: str) -> dict[str, Any]:
    """The document, once Hydra has it: the first answer of each kind makes RSA keys of 4096 bits."""

    def document() -> dict[str, Any] | None:
        try:
            answer = httpx.get(f"{HYDRA}/.well-known/{path}", timeout=PATIENCE)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None

    return until(document, f"Hydra's {path}", timeout=PATIENCE)


def new_login() -> CodeFlow:
    """A client that has just registered itself at Hydra, once Hydra answers."""
    hydra_answers("jwks.json")
    return CodeFlow.registered(hydra_answers("openid-configuration"))


def new_token() -> str:
    return new_login().login(resource=RESOURCE, scope=SCOPE)["access_token"]


def until_status(
    deployment: Deployment, token: str | None, wanted: int, timeout: float = PATIENCE
) -> float:
    """How long it took until a call with the token got the status."""
    started = time.monotonic()
    until(
        lambda: deployment.status(token) == wanted,
        f"status {wanted} (it is {deployment.status(token)})",
        timeout=timeout,
        interval=0.05,
    )
    return time.monotonic() - started


@contextmanager
def load(deployment: Deployment, token: str) -> Iterator[Counter[int]]:
    """Calls with a good token, one after another; counts the statuses, 0 for no answer."""
    statuses: Counter[int] = Counter()
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.02):
            statuses[deployment.status(token)] += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield statuses
    finally:
        done.set()
        worker.join()


def first_login(stage: Stage) -> None:
    """the files as they are shipped: healthy, 401 and metadata, and each SDK registers, logs in, calls"""
    with stage.deploy() as deployment:
        deployment.wait_healthy(*SERVICES)
        hydra_answers("openid-configuration")
        hydra_answers("jwks.json")
        stage.say(deployment.run("ps"))
        answer = deployment.post()
        check(answer.status == 401, f"without a token: {answer.status}")
        challenge = answer.header("www-authenticate") or ""
        check(f'resource_metadata="http://{HOST}{METADATA}"' in challenge, challenge)
        document = http1.request(PORT, "GET", METADATA, host=HOST).json()
        check(document["authorization_servers"] == [HYDRA], str(document))
        for sdk in (clients.TYPESCRIPT, clients.TYPESCRIPT_1, clients.PYTHON):
            folder = stage.directory / sdk.name
            with clients.Client(folder, sdk, RESOURCE, clients.LEGACY) as client:
                version = client.connect()
                result = client.call("echo", {"message": "hello"})
                check("hello" in json.dumps(result), str(result))
                check(len(client.logins) == 1, f"{sdk.title}: {len(client.logins)} logins")
            stage.say(f"{sdk.title} {sdk.version()}: registered, logged in, called ({version})")
        attack(stage, deployment, new_token())
        is_confined(stage, deployment)


def attack(stage: Stage, deployment: Deployment, good: str) -> None:
    """Nothing without a good token gets to the server."""
    check(deployment.status(good) == 200, "a good token is not accepted")
    head, payload, signature = good.split(".")
    wrong = {
        "one letter changed": f"{head}.{payload[:-1]}{'A' if payload[-1] != 'A' else 'B'}.{signature}",
        "no signature": f"{head}.{payload}.",
        "opaque": "ory_at_" + "x" * 40,
        "ID token": new_login().login(resource=RESOURCE, scope=SCOPE)["id_token"],
        "for nothing": new_login().login(resource=None, scope=SCOPE)["access_token"],
        "for another": new_login().login(resource="http://localhost:9/mcp", scope=SCOPE)[
            "access_token"
        ],
    }
    for name, token in wrong.items():
        check(deployment.status(token) == 401, f"{name}: {deployment.status(token)}")
    without_scope = new_login().login(resource=RESOURCE, scope="openid")["access_token"]
    check(deployment.status(without_scope) == 403, "a token without the scope")
    attacks = json.loads((paths.CASES / "path_attacks.json").read_text())
    spellings = sorted({text for text in strings(attacks) if text.startswith("/")})
    for spelling in spellings:
        path = spelling.encode("latin-1", "replace").replace(b" ", b"%20")
        try:
            answer = deployment.post(path=path.decode("latin-1"))
        except OSError:
            continue  # Envoy hung up on it.
        check(answer.status not in (200, 202, 406), f"{spelling!r} got to the server")
    stage.say(f"refused: {len(wrong) + 1} tokens, {len(spellings)} spellings of the path")


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from strings(one)


def is_confined(stage: Stage, deployment: Deployment) -> None:
    """Envoy runs as a user, on a file system that nobody can write to, with no capability."""
    envoy = deployment.inspect("envoy")
    check(envoy["HostConfig"]["ReadonlyRootfs"] is True, "the file system can be written to")
    check(envoy["HostConfig"]["CapDrop"] == ["ALL"], "it has capabilities")
    name = deployment.container("envoy")
    told = stage.engine.run("docker", "exec", name, "cat", "/proc/1/status")
    status = dict(line.split(":\t", 1) for line in told.splitlines() if ":\t" in line)
    check(status["CapEff"].strip() == "0" * 16, status["CapEff"])
    check(status["Uid"].split()[0] == "101", status["Uid"])
    written = stage.engine.try_run("docker", "exec", name, "touch", "/etc/envoy/x")
    check(written.returncode != 0, "a file could be written")
    stage.say("Envoy: user 101, no capability, read-only file system")


def refresh(stage: Stage) -> None:
    """tokens of 4 seconds: each SDK refreshes twice, and nobody logs in again"""
    overlay = {"services": {"hydra": {"environment": {"TTL_ACCESS_TOKEN": "4s"}}}}
    edit = with_issuer('"clock_skew_seconds": 0')
    with stage.deploy(overlay=overlay, edit_envoy=edit) as deployment:
        deployment.wait_healthy(*SERVICES)
        for sdk in (clients.TYPESCRIPT, clients.TYPESCRIPT_1, clients.PYTHON):
            folder = stage.directory / sdk.name
            with clients.Client(folder, sdk, RESOURCE, clients.LEGACY) as client:
                client.connect()
                ends = time.monotonic() + 2 * 4 + 2
                calls = 0
                while time.monotonic() < ends:
                    client.call("echo", {"message": "again"})
                    calls += 1
                    time.sleep(0.2)
                check(len(client.logins) == 1, f"{sdk.title}: logins {client.logins}")
            stage.say(f"{sdk.title}: {calls} calls in {2 * 4 + 2} s with tokens of 4 s, one login")
        hydra = deployment.logs("hydra")
        # Hydra writes a line for each request; a refresh is a call of the token endpoint.
        count = hydra.count("/oauth2/token")
        stage.say(f"calls of the token endpoint in Hydra's log: {count}")


def restart_under_load(stage: Stage) -> None:
    """Envoy restarted under load: no answer is ever a refusal of a good token"""
    with stage.deploy() as deployment:
        deployment.wait_healthy(*SERVICES)
        token = new_token()
        until_status(deployment, token, 200)
        with load(deployment, token) as statuses:
            for _ in range(3):
                deployment.run("restart", "--timeout=2", "envoy")
                until_status(deployment, token, 200)
        seen = dict(statuses)
        check(set(seen) <= {0, 200, 503}, f"statuses {seen}")
        check(seen[200] > 0, "no good answer")
        stage.say(f"3 restarts, answers by status (0: no connection): {seen}")


def authorization_server_gone(stage: Stage) -> None:
    """Hydra away before the start, during, and after: 503 or good, never a bad token"""
    with stage.deploy() as deployment:
        deployment.wait_healthy(*SERVICES)
        token = new_token()
        until_status(deployment, token, 200)
        hydra = deployment.container("hydra")
        network = deployment.network()
        # Hydra keeps its keys in memory, so it stays alive; its name resolves to nothing.
        stage.engine.run("docker", "network", "disconnect", network, hydra)
        for _ in range(20):
            check(deployment.status(token) == 200, "known keys are not used in the outage")
        deployment.run("restart", "--timeout=2", "envoy")
        answer = until(lambda: _answer(deployment, token), "Envoy to answer", timeout=PATIENCE)
        check(answer.status == 503, f"without keys: {answer.status}")
        check(answer.header("retry-after") is not None, "503 without retry-after")
        check(answer.header("www-authenticate") is None, "503 with a challenge")
        check(deployment.status() == 401, "the login does not need keys")
        stage.engine.run("docker", "network", "connect", "--alias=hydra", network, hydra)
        waited = until_status(deployment, token, 200)
        stage.say(f"with the name back, the first good answer after {waited:.1f} s")
        deployment.run("stop", "--timeout=3", "hydra")
        check(deployment.status(token) == 200, "known keys are not used after a stop")
        deployment.run("start", "hydra")
        fresh = new_token()
        waited = until_status(deployment, fresh, 200)
        stage.say(f"after a restart with new keys, the first good answer after {waited:.1f} s")
    with stage.deploy(services=["envoy"]) as deployment:
        # Never there at all: the name has not resolved yet.
        deployment.wait_healthy("envoy")
        check(deployment.status() == 401, "the login does not begin")
        deployment.run("up", "--detach")
        waited = until_status(deployment, new_token(), 200)
        stage.say(f"Hydra started after Envoy: the first good answer after {waited:.1f} s")


def _answer(deployment: Deployment, token: str) -> http1.Response | None:
    try:
        return deployment.post(token)
    except OSError:
        return None


def server_gone(stage: Stage) -> None:
    """the MCP server's container is gone: 503 from Envoy, and no 401"""
    with stage.deploy() as deployment:
        deployment.wait_healthy(*SERVICES)
        token = new_token()
        until_status(deployment, token, 200)
        deployment.run("stop", "--timeout=2", "mcp-server")
        answer = deployment.post(token)
        check(answer.status == 503, f"status {answer.status}")
        check(answer.header("www-authenticate") is None, "a challenge for an outage")
        check(deployment.status() == 401, "without a token")
        deployment.run("start", "mcp-server")
        waited = until_status(deployment, token, 200)
        stage.say(f"503 without a challenge; good again {waited:.1f} s after the start")


def two_envoys(stage: Stage) -> None:
    """two Envoys behind one name: a token is good on both"""
    shipped = paths.REPOSITORY / "envoy"
    second = {
        "image": "envoyproxy/envoy:v1.40.0",
        "command": ["--config-path", "/etc/envoy/envoy.yaml"],
        "user": "101",
        "volumes": [
            f"{shipped}/hydra/envoy.yaml:/etc/envoy/envoy.yaml:ro",
            f"{paths.wasm_module()}:/etc/envoy/mcp_auth_filter.wasm:ro",
        ],
        "networks": {"default": {"aliases": ["gateway"]}},
    }
    first = {"networks": {"default": {"aliases": ["gateway"]}}}
    overlay = {"services": {"envoy": first, "envoy-2": second}}
    with stage.deploy(overlay=overlay) as deployment:
        deployment.wait_healthy(*SERVICES)
        token = new_token()
        until_status(deployment, token, 200)
        resolved = stage.engine.run(
            "docker", "exec", deployment.container("login-consent"),
            "python", "-c", "import socket; print(*{a[4][0] for a in socket.getaddrinfo('gateway', 8080)})",
        ).split()  # fmt: skip
        check(len(resolved) == 2, f"the name has {resolved}")
        for address in resolved:
            with httpx.Client(base_url=f"http://{address}:8080", timeout=15) as http:

                def call(credentials: dict[str, str], http: httpx.Client = http) -> int:
                    headers = {
                        "host": HOST,
                        "accept": "application/json, text/event-stream",
                        **credentials,
                    }
                    try:
                        return http.post("/mcp", json=INITIALIZE, headers=headers).status_code
                    except httpx.HTTPError:
                        return 0

                until(
                    lambda: call({"authorization": f"Bearer {token}"}) == 200,
                    f"{address} to accept the token",
                    timeout=PATIENCE,
                )
                check(call({}) == 401, f"{address} without a token")
        stage.say(f"one name, {len(resolved)} Envoys, one token: accepted by both")


def new_configuration(stage: Stage) -> None:
    """another configuration by file: it holds after a restart, and a wrong one does not start"""
    with stage.deploy(edit_envoy=lambda text: text) as deployment:
        deployment.wait_healthy(*SERVICES)
        token = new_token()
        until_status(deployment, token, 200)
        deployment.write_envoy(lambda text: text.replace('"scopes": ["mcp"]', '"scopes": ["more"]'))
        deployment.run("restart", "--timeout=2", "envoy")
        waited = until_status(deployment, token, 403)
        deployment.write_envoy(lambda text: text.replace('"scopes"', '"scope"'))
        stage.engine.try_run("docker", "restart", "--time=2", deployment.container("envoy"))
        until(
            lambda: "configuration field" in deployment.logs("envoy"),
            "Envoy to say what is wrong",
            timeout=PATIENCE,
        )
        check(deployment.status(token) == 0, "Envoy serves with a wrong configuration")
        line = [one for one in deployment.logs("envoy").splitlines() if "resources[0].scope" in one]
        check(bool(line), "the field is not named")
        stage.say(f"a new scope holds {waited:.1f} s after the restart; a wrong field is named")


def memory(stage: Stage) -> None:
    """256 MiB are enough under load, and no container is ended for want of memory"""
    with stage.deploy() as deployment:
        deployment.wait_healthy(*SERVICES)
        check(
            deployment.inspect("envoy")["HostConfig"]["Memory"] == MEMORY_BYTES, "no limit is set"
        )
        token = new_token()
        until_status(deployment, token, 200)
        ends = time.monotonic() + 10
        calls: Counter[int] = Counter()

        def work() -> None:
            while time.monotonic() < ends:
                calls[deployment.status(token if calls.total() % 2 else "x" * 16000)] += 1

        workers = [threading.Thread(target=work) for _ in range(16)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        used = stage.engine.run(
            "docker", "stats", "--no-stream", "--format={{.MemUsage}}", deployment.container("envoy")
        ).strip()
        check(deployment.inspect("envoy")["State"]["OOMKilled"] is False, "out of memory")
        check(set(calls) <= {200, 401}, f"statuses {dict(calls)}")
        stage.say(f"{calls.total()} calls in 10 s, {dict(calls)}; memory {used}")


def logs(stage: Stage) -> None:
    """every line that Envoy writes once it has read its file is JSON: who, why, and never a token"""
    with stage.deploy() as deployment:
        deployment.wait_healthy(*SERVICES)
        token = new_token()
        until_status(deployment, token, 200)
        deployment.status()
        deployment.status("x" * 32)
        # Envoy writes to its log every ten seconds.
        until(
            lambda: '"reason":"token_inactive"' in deployment.logs("envoy"), "the access log", timeout=60
        )
        lines = deployment.logs("envoy").splitlines()
        # Before it has read its file, Envoy does not know how to write.
        lines = [line for line in lines if not line.startswith("[")]
        check(len(lines) > 5, "\n".join(lines))
        entries = [json.loads(line) for line in lines]
        check(token not in "\n".join(lines) and "x" * 32 not in "\n".join(lines), "a token is logged")
        subjects = {entry.get("subject") for entry in entries}
        check("alice" in subjects, f"subjects {subjects}")
        stage.say(f"{len(entries)} lines, all JSON; no token in them")


def opaque_tokens(stage: Stage) -> None:
    """docker-compose.opaque.yaml over it: an SDK logs in, refresh tokens are none, a revocation holds"""
    with stage.deploy(more_files=["docker-compose.opaque.yaml"]) as deployment:
        deployment.wait_healthy(*SERVICES)
        hydra_answers("openid-configuration")
        hydra_answers("jwks.json")
        with clients.Client(
            stage.directory / "sdk", clients.PYTHON, RESOURCE, clients.LEGACY
        ) as client:
            client.connect()
            result = client.call("echo", {"message": "hello"})
            check("hello" in json.dumps(result), str(result))
        login = new_login()
        got = login.login(resource=RESOURCE, scope=SCOPE)
        token, refresh_token = got["access_token"], got["refresh_token"]
        check(token.startswith("ory_at_"), "the access token is not opaque")
        until_status(deployment, token, 200)
        check(deployment.status(refresh_token) == 401, "a refresh token is taken")
        form = {"token": token, "client_id": login.client_id}
        httpx.post(f"{HYDRA}/oauth2/revoke", data=form, timeout=60).raise_for_status()
        took = until_status(deployment, token, 401)
        stage.say(
            f"{clients.PYTHON.title}: logged in, called; a refresh token: 401; "
            f"revoked: 401 after {took:.1f} s, cache_seconds 30"
        )


ALL: dict[str, Callable[[Stage], None]] = {
    scenario.__name__.replace("_", "-"): scenario
    for scenario in (
        first_login,
        refresh,
        restart_under_load,
        authorization_server_gone,
        server_gone,
        two_envoys,
        new_configuration,
        memory,
        logs,
        opaque_tokens,
    )
}
