"""The official Python SDK as a client that a test drives over stdin and stdout: see clients.py.

The SDK does every login by itself; the application only opens the browser for it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from mcp.client.auth import AuthorizationCodeResult
from mcp.shared.auth import OAuthClientInformationFull
from mcp.types import TextContent

from .authorization import callback_query
from .mcp_client import LEGACY, MODERN, Login, connect


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


async def hear() -> dict[str, Any] | None:
    line = await asyncio.to_thread(sys.stdin.readline)
    return json.loads(line) if line else None


class Browser(Login):
    async def wait_for_callback(self) -> AuthorizationCodeResult:
        say({"browse": self.authorization_urls[-1]})
        answer = await hear()
        assert answer is not None
        query = callback_query(answer["callback"])
        return AuthorizationCodeResult(
            code=query["code"], state=query.get("state"), iss=query.get("iss")
        )


def reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


async def drive(options: dict[str, Any]) -> None:
    login = Browser(redirect_uri=options["redirect_uri"])
    if "client_id" in options:
        login.client = OAuthClientInformationFull.model_validate(
            {
                "client_id": options["client_id"],
                "issuer": options["issuer"],
                "redirect_uris": [options["redirect_uri"]],
                "token_endpoint_auth_method": "none",
            }
        )
    mode = MODERN if options["era"] == MODERN else LEGACY
    await hear()  # "connect": there is nothing else to begin with
    async with connect(options["url"], mode, login) as connected:
        say({"version": connected.client.protocol_version})
        while (command := await hear()) is not None:
            try:
                result = await connected.client.call_tool(command["tool"], command["arguments"])
            except Exception as error:
                say({"error": reason(error)})
                continue
            content = result.content[0]
            text = content.text if isinstance(content, TextContent) else None
            if result.is_error:
                say({"error": text})
            else:
                say({"result": result.structured_content or text})


if __name__ == "__main__":
    try:
        asyncio.run(drive(json.loads(sys.argv[1])))
    except BaseException as failure:
        say({"error": reason(failure)})
        raise
