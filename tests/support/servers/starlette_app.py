"""Starlette on uvicorn: `protected` at /mcp and below, else `public`."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route


async def protected(_: object) -> PlainTextResponse:
    return PlainTextResponse("protected")


async def public(_: object) -> PlainTextResponse:
    return PlainTextResponse("public")


METHODS = ["GET", "POST"]
app = Starlette(
    routes=[
        Route("/mcp", protected, methods=METHODS),
        Mount("/mcp", routes=[Route("/{rest:path}", protected, methods=METHODS)]),
        Route("/{rest:path}", public, methods=METHODS),
    ]
)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
