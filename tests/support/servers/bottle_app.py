"""Bottle on waitress: `protected` at /mcp and below, else `public`."""

import sys

import bottle
import waitress

METHODS = ["GET", "POST"]


@bottle.route("/mcp", METHODS)
@bottle.route("/mcp/<rest:path>", METHODS)
def protected(rest: str = "") -> str:
    return "protected"


@bottle.route("/", METHODS)
@bottle.route("/<rest:path>", METHODS)
def public(rest: str = "") -> str:
    return "public"


waitress.serve(bottle.default_app(), listen=f"127.0.0.1:{sys.argv[1]}", threads=2)
