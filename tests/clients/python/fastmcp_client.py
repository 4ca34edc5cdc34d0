"""FastMCP's client, driven over stdin and stdout as support/clients.py says; it opens the browser by itself.

It runs in a Python of its own, with nothing of the tests' but the standard library.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fastmcp import Client


def say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


async def hear() -> dict[str, Any] | None:
    line = await asyncio.to_thread(sys.stdin.readline)
    return json.loads(line) if line else None


async def drive(url: str) -> None:
    await hear()  # "connect": there is nothing else to begin with
    async with Client(url, auth="oauth") as client:
        say({"version": client.protocol_version})
        while (command := await hear()) is not None:
            try:
                if command["do"] == "list":
                    say({"tools": [one.name for one in await client.list_tools()]})
                    continue
                result = await client.call_tool(command["tool"], command["arguments"])
            except Exception as error:
                say({"error": f"{type(error).__name__}: {error}"})
            else:
                say({"result": result.structured_content or result.content[0].text})


if __name__ == "__main__":
    try:
        asyncio.run(drive(json.loads(sys.argv[1])["url"]))
    except BaseException as failure:
        say({"error": f"{type(failure).__name__}: {failure}"})
        raise
