"""The official Python SDK, version 1, driven over stdin and stdout as support/clients.py says, and asked for its tools.

It runs in a Python of its own, with nothing of the tests' but the standard library.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.parse
from typing import Any

from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.types import TextContent


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


async def hear() -> dict[str, Any] | None:
    line = await asyncio.to_thread(sys.stdin.readline)
    return json.loads(line) if line else None


class Memory:
    """Tokens and client of one run."""

    client: OAuthClientInformationFull | None = None
    tokens: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def browse(url: str) -> None:
    say({"browse": url})


async def callback() -> tuple[str, str | None]:
    answer = await hear()
    assert answer is not None
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer["callback"]).query))
    return query["code"], query.get("state")


def reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def drive(options: dict[str, Any]) -> None:
    metadata = OAuthClientMetadata.model_validate(
        {
            "client_name": "test",
            "redirect_uris": [options["redirect_uri"]],
            "token_endpoint_auth_method": "none",
        }
    )
    login = OAuthClientProvider(options["url"], metadata, Memory(), browse, callback)
    await hear()  # "connect": there is nothing else to begin with
    async with (
        create_mcp_http_client(auth=login) as http,
        streamable_http_client(options["url"], http_client=http) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        said = await session.initialize()
        say({"version": said.protocolVersion})
        while (command := await hear()) is not None:
            try:
                if command["do"] == "list":
                    say({"tools": [one.name for one in (await session.list_tools()).tools]})
                    continue
                result = await session.call_tool(command["tool"], command["arguments"])
            except Exception as error:
                say({"error": reason(error)})
                continue
            content = result.content[0]
            text = content.text if isinstance(content, TextContent) else None
            if result.isError:
                say({"error": text})
            else:
                say({"result": result.structuredContent or text})


if __name__ == "__main__":
    try:
        asyncio.run(drive(json.loads(sys.argv[1])))
    except BaseException as failure:
        say({"error": reason(failure)})
        raise
