"""MCP servers whose frameworks check tokens by themselves.

`python protected_servers.py python-sdk|fastmcp PORT ISSUER` serves /mcp: with what the official SDK has for
servers, or FastMCP, for an authorization server elsewhere, whose keys are at /jwks.
"""

from __future__ import annotations

import sys

SCOPE = "mcp:read"


def python_sdk(port: int, issuer: str) -> None:
    import jwt
    from mcp.server.auth.provider import AccessToken
    from mcp.server.auth.settings import AuthSettings
    from mcp.server.mcpserver import MCPServer
    from pydantic import AnyHttpUrl

    url = f"http://127.0.0.1:{port}/mcp"
    keys = jwt.PyJWKClient(f"{issuer}/jwks")

    class Verifier:
        async def verify_token(self, token: str) -> AccessToken | None:
            try:
                key = keys.get_signing_key_from_jwt(token)
                claims = jwt.decode(token, key, ["RS256"], audience=url, issuer=issuer)
            except jwt.PyJWTError:
                return None
            scopes = claims["scope"].split()
            return AccessToken(token=token, client_id=claims["client_id"], scopes=scopes, resource=url)

    server = MCPServer(
        "python-sdk",
        token_verifier=Verifier(),
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(issuer),
            resource_server_url=AnyHttpUrl(url),
            required_scopes=[SCOPE],
        ),
    )
    server.add_tool(echo)
    server.run("streamable-http", host="127.0.0.1", port=port)


def fastmcp(port: int, issuer: str) -> None:
    from fastmcp import FastMCP
    from fastmcp.server.auth import RemoteAuthProvider
    from fastmcp.server.auth.providers.jwt import JWTVerifier
    from pydantic import AnyHttpUrl

    origin = f"http://127.0.0.1:{port}"
    verifier = JWTVerifier(
        jwks_uri=f"{issuer}/jwks", issuer=issuer, audience=f"{origin}/mcp", required_scopes=[SCOPE]
    )
    server = FastMCP("fastmcp", auth=RemoteAuthProvider(verifier, [AnyHttpUrl(issuer)], origin))
    server.tool(echo)
    server.run("http", host="127.0.0.1", port=port, show_banner=False)


def echo(text: str) -> str:
    """Returns the text."""
    return text


if __name__ == "__main__":
    kind, port, issuer = sys.argv[1:]
    {"python-sdk": python_sdk, "fastmcp": fastmcp}[kind](int(port), issuer)
