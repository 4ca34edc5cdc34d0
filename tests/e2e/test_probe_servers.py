"""`mcp-auth probe` at real servers with a login of their own, and its verdicts beside real logins there."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import paths, tool
from support.authorization import AuthorizationServer
from support.clients import LEGACY, PYTHON, TYPESCRIPT, TYPESCRIPT_1, Client, ClientFailed, Sdk
from support.ports import free_port
from support.processes import Child
from support.waiting import until

SERVERS = Path(__file__).parents[1] / "support" / "protected_servers.py"
FASTMCP = paths.TOOLS / "clients" / "fastmcp" / "bin" / "python"
SDK_EXAMPLE = (
    paths.TS_CLIENT_MODULES
    / "node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server/simpleStreamableHttp.js"
)
EVERYTHING = (
    paths.TOOLS / "conformance/node_modules/@modelcontextprotocol/server-everything/dist/index.js"
)
# The tool's names of those that log in here.
NAMES = [(PYTHON, "Python SDK"), (TYPESCRIPT, "TypeScript SDK"), (TYPESCRIPT_1, "TypeScript SDK 1")]


@contextmanager
def running(
    directory: Path, name: str, command: list[str | Path], port: int, **environment: str
) -> Iterator[None]:
    with Child(name, command, directory, environment=environment) as child:

        def listens() -> bool:
            child.check()
            try:
                socket.create_connection(("localhost", port), 5).close()
            except OSError:
                return False
            return True

        until(listens, f"{name} to listen", timeout=120)
        yield


def logs_in(directory: Path, sdk: Sdk, url: str) -> bool:
    """A real login, and a list of tools."""
    with Client(directory / sdk.name, sdk, url, LEGACY) as client:
        try:
            client.connect()
        except ClientFailed:
            return False
        return len(client.logins) == 1


def agree(directory: Path, url: str, said: dict[str, str]) -> None:
    """What the probe says of each SDK is what becomes of it."""
    for sdk, name in NAMES:
        assert (said[name] == "logs in") == logs_in(directory, sdk, url), (name, said[name])


@pytest.mark.parametrize("kind", ["python-sdk", "fastmcp"])
def test_a_framework_that_writes_the_issuer_with_a_slash(kind: str, tmp_path: Path) -> None:
    """Both do, and one SDK does not log in where the issuer calls itself without."""
    python = sys.executable if kind == "python-sdk" else FASTMCP
    if not Path(python).exists():
        pytest.skip("FastMCP is not installed: scripts/clients --install fastmcp does")
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    with AuthorizationServer(tmp_path, resources=[url]) as authorization:
        command = [python, SERVERS, kind, str(port), authorization.issuer]
        with running(tmp_path, kind, command, port):
            report = tool.probe(url, authorization.token(url))
            assert tool.marked(report, "fail") == ["issuer"]
            said = tool.verdicts(report)
            agree(tmp_path, url, said)
            # The same server by other URLs than the one that it gives itself.
            for other in (f"{url}/", url.replace("127.0.0.1", "localhost")):
                agree(tmp_path / other.replace("/", "_"), other, tool.verdicts(tool.probe(other)))
    assert {name for name, verdict in said.items() if verdict == "fails"} == {"Python SDK"}


def test_the_typescript_sdks_example_of_a_login(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://localhost:{port}/mcp"
    ports = {"MCP_PORT": str(port), "MCP_AUTH_PORT": str(free_port())}
    command = [paths.node_binary(), SDK_EXAMPLE, "--oauth"]
    with running(tmp_path, "example", command, port, **ports):
        report = tool.probe(url)
        # Its answer to a token that nobody issued is a 500.
        assert tool.marked(report, "fail") == ["bad-token"]
        said = tool.verdicts(report)
        assert set(said.values()) == {"logs in"}
        # It registers clients with a secret, and does not say how that is sent: the Python SDK sends none. No
        # registration and no request for a token is among what the probe asks.
        agree(tmp_path, url, said | {"Python SDK": "fails"})


def test_the_reference_server_without_any(tmp_path: Path) -> None:
    if not EVERYTHING.exists():
        pytest.skip("server-everything is not installed: make conformance does")
    port = free_port()
    command = [paths.node_binary(), EVERYTHING, "streamableHttp"]
    with running(tmp_path, "everything", command, port, PORT=str(port)):
        report = tool.probe(f"http://127.0.0.1:{port}/mcp")
    assert tool.marked(report, "fail") == ["open"]
    assert set(tool.verdicts(report).values()) == {"open"}
