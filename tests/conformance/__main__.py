"""`make conformance`: servers behind the filter, and the official suite against them, direct and through it.

First each server is used as `story.py` says. Then: what a server does right must not depend on the filter in front: the difference must be empty. A relay stands in
front of both, and adds the token where the filter is. It runs once without `operations`, and once with
`operations` and `filter_lists` that allow everything.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from support import paths, tokens
from support.bootstrap import Listener
from support.envoy import Envoy
from support.relay import Relay

from . import story
from .servers import PACKAGES, SERVERS

Json = dict[str, Any]
Checks = Counter[tuple[str, str, str]]
"""Scenario, check and status, and how often."""

# Folders are named after scenario and time.
_TIME = re.compile(r"-\d{4}-\d{2}-\d{2}T[\dZ.-]+$")
ISSUER = "https://auth.example.com"
SUITE = PACKAGES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"

WAYS: dict[str, Json] = {
    "": {},
    "operations, filter_lists": {
        "operations": [{"method": "tools/call", "name": "not-there-*", "scopes": ["mcp:admin"]}],
        "filter_lists": True,
    },
}


def run(url: str, directory: Path) -> Checks:
    """All scenarios; what each of their checks says."""
    subprocess.run(
        [paths.node_binary(), SUITE, "server", "--url", url, "--output-dir", directory],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,  # It fails where the server does.
        timeout=1200,
    )
    found: Checks = Counter()
    for file in directory.rglob("checks.json"):
        scenario = _TIME.sub("", file.parent.name)
        for one in json.loads(file.read_text()):
            found[scenario, one["id"], one["status"]] += 1
    assert found, f"the suite left nothing in {directory}"
    return found


def counts(found: Checks) -> str:
    by_status = Counter()
    for (_, _, status), number in found.items():
        by_status[status] += number
    return ", ".join(f"{number} {status}" for status, number in sorted(by_status.items()))


def through(stack: ExitStack, directory: Path, server: int, relay: Relay, rules: Json) -> None:
    """Has the relay lead to an Envoy with the filter, with a token added on the way."""
    resource = f"http://127.0.0.1:{relay.port}/mcp"
    configuration = {
        "issuers": [{"issuer": ISSUER, "jwks": tokens.jwks(["ec-1"])}],
        "resources": [{"resource": resource, **rules}],
    }
    listener = Listener(wasm=paths.wasm_module(), configuration=configuration, holds_headers=bool(rules))
    envoy = stack.enter_context(Envoy(directory, {"mcp": listener}, {"upstream": server}))
    claims = {"iss": ISSUER, "aud": resource, "sub": "alice", "scope": "mcp", "exp": int(time.time()) + 3600}
    relay.forward_to = envoy.port
    relay.credentials = f"Bearer {tokens.mint({'key': 'ec-1'}, claims)}"


def compare(name: str, directory: Path) -> bool:
    with SERVERS[name].start(directory / "story") as server:
        story.run(directory / "story", server, SERVERS[name].tools)
    with ExitStack() as stack:
        start = SERVERS[name].suite or SERVERS[name].start
        server = stack.enter_context(start(directory))
        relay = stack.enter_context(Relay())
        url = f"http://127.0.0.1:{relay.port}/mcp"
        relay.forward_to = server
        started = time.monotonic()
        direct = run(url, directory / "direct")
        print(f"  direct: {counts(direct)} ({time.monotonic() - started:.0f} s)", flush=True)
        same = True
        for number, (way, rules) in enumerate(WAYS.items()):
            with ExitStack() as inner:
                folder = directory / f"through-{number}"
                through(inner, folder, server, relay, rules)
                started = time.monotonic()
                found = run(url, folder / "results")
            title = f"through the filter{', ' if way else ''}{way}"
            print(f"  {title}: {counts(found)} ({time.monotonic() - started:.0f} s)", flush=True)
            for sign, part in (("-", direct - found), ("+", found - direct)):
                for (scenario, check, status), times in sorted(part.items()):
                    same = False
                    print(f"  {sign} {scenario}: {check} {status} ({times})", flush=True)
        return same


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in SERVERS]
    if unknown:
        print(f"conformance: no server {unknown[0]!r}; there are {', '.join(SERVERS)}")
        return 2
    failed = []
    for name in names or SERVERS:
        print(name, flush=True)
        with tempfile.TemporaryDirectory(prefix="mcp-auth-conformance-") as directory:
            try:
                same = compare(name, Path(directory))
            except Exception as error:
                print(f"  FAILED: {type(error).__name__}: {error}\n{traceback.format_exc()[-1500:]}")
                same = False
            if not same:
                failed.append(name)
    print("conformance: " + (f"a difference or failure with {', '.join(failed)}" if failed else "no difference"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
