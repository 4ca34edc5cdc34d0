"""agent-memory-server, unchanged, behind the filter as examples/agent-memory-server says."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.auth import OAuthClientInformationFull
from mcp.shared.exceptions import MCPError
from support import http1, paths, tool
from support.authorization import AuthorizationServer
from support.bootstrap import Listener
from support.envoy import Envoy
from support.mcp_client import LEGACY, REDIRECT_URI, Login, connect
from support.ports import ReservedPort, free_port
from support.processes import Child
from support.waiting import until

INSTALLED = paths.TOOLS / "agent-memory"
README = paths.REPOSITORY / "examples" / "agent-memory-server" / "README.md"

# Known beforehand: one that registers itself is held to the scopes of its first challenge here.
KNOWN = {
    "client_id": "desk",
    "redirect_uris": [REDIRECT_URI],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}

# It imports half a gigabyte before it listens.
PATIENCE = 900

pytestmark = pytest.mark.skipif(
    not (INSTALLED / "stamp").exists(),
    reason="agent-memory-server is not installed: `make agentmemory` does, about 500 MB",
)


@pytest.fixture(scope="module")
def memory_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of agent-memory-server."""
    directory = tmp_path_factory.mktemp("agent-memory")
    redis, port = free_port(), free_port()
    folder = INSTALLED / "redis"
    with ExitStack() as stack:
        store = stack.enter_context(
            Child(
                "redis",
                [
                    folder / "redis-server",
                    *("--port", str(redis), "--bind", "127.0.0.1", "--save", ""),
                    *("--loadmodule", folder / "rejson.so"),
                ],
                directory,
                environment={"LD_LIBRARY_PATH": str(folder)},
            )
        )
        server = stack.enter_context(
            Child(
                "agent-memory",
                [
                    INSTALLED / "venv" / "bin" / "python",
                    INSTALLED / "venv" / "bin" / "agent-memory",
                    *("mcp", "--mode", "streamable-http", "--port", str(port)),
                ],
                directory,
                environment={
                    "REDIS_URL": f"redis://127.0.0.1:{redis}",
                    "LONG_TERM_MEMORY": "false",
                    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                    "HF_HUB_OFFLINE": "1",
                    "MCP_HOST": "127.0.0.1",
                },
            )
        )

        def listens() -> bool:
            store.check()
            server.check()
            try:
                http1.request(port, "GET", "/mcp")
            except OSError:
                return False
            return True

        until(listens, "agent-memory-server", timeout=PATIENCE, interval=0.1)
        yield port


def configuration(url: str, issuer: str) -> dict[str, Any]:
    """The example's, for this machine."""
    found = re.search(r"^```json\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    text = found[1].replace("https://mcp.example.com/mcp", url)
    return json.loads(text.replace("https://auth.example.com", issuer))


def test_without_the_filter_anybody_gets_to_it(memory_server: int) -> None:
    """A browser gets the 406 that this project began with, and a client everybody's memories."""
    host = f"127.0.0.1:{memory_server}"
    assert http1.request(memory_server, "GET", "/mcp", host=host).status == 406

    async def work() -> list[str]:
        async with connect(f"http://{host}/mcp", LEGACY) as connected:
            return [tool.name for tool in (await connected.client.list_tools()).tools]

    assert "get_working_memory" in asyncio.run(asyncio.wait_for(work(), 120))
    report = tool.probe(f"http://{host}/mcp")
    assert tool.marked(report, "fail") == ["open"]
    assert set(tool.verdicts(report).values()) == {"open"}


def test_with_it_a_memory_is_written_and_read_back(
    memory_server: int, wasm: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(ReservedPort()).number
        origin = f"http://127.0.0.1:{port}"
        url = f"{origin}/mcp"
        auth = stack.enter_context(
            AuthorizationServer(tmp_path, resources=[url], clients=[KNOWN])
        )
        envoy = stack.enter_context(
            Envoy(
                tmp_path,
                {
                    "mcp": Listener(
                        wasm=wasm, configuration=configuration(url, auth.issuer), port=port
                    )
                },
                {"upstream": memory_server, "auth": auth.port},
            )
        )
        for path in ("/mcp", "/mcp/", "/mcp/x"):
            answer = http1.request(envoy.port, "GET", path, host=f"127.0.0.1:{port}")
            assert answer.status == 401
            assert answer.header("www-authenticate")
        report = tool.probe(url)
        assert tool.marked(report, "fail") == []
        assert set(tool.verdicts(report).values()) == {"logs in"}

        registered = {**KNOWN, "issuer": auth.issuer}
        login = Login(client=OAuthClientInformationFull.model_validate(registered))

        async def work() -> str:
            async with connect(url, LEGACY, login) as connected:
                tools = connected.client.call_tool
                memory = {"text": "Alice takes tea", "memory_type": "semantic"}
                await tools("set_working_memory", {"session_id": "s", "memories": [memory]})
                read = await tools("get_working_memory", {"session_id": "s"})
                with pytest.raises(MCPError):
                    await tools("delete_long_term_memories", {"memory_ids": ["1"]})
                return json.dumps(read.structured_content)

        assert "Alice takes tea" in asyncio.run(asyncio.wait_for(work(), 120))
        assert login.tokens is not None
        assert set((login.tokens.scope or "").split()) >= {"mcp:read", "mcp:write"}
