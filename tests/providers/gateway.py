"""The filter in a real Envoy before a real MCP server, configured as a provider's page says."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from support import http1, paths
from support.bootstrap import Listener, cluster
from support.envoy import Envoy
from support.introspection_server import asking_cluster, basic
from support.mcp_server import McpServer
from support.recorder import new_test_id

from .servers.server import PATIENCE, Server

Json = dict[str, Any]

PAGES = paths.REPOSITORY / "docs" / "providers"
PUBLIC = "https://mcp.example.com"
"""Where the pages have their MCP server."""

INITIALIZE = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "providers", "version": "1"},
        },
    }
).encode()


def page_configuration(page: str, number: int = 0) -> str:
    """The filter's JSON on a page: the first block, or a later one."""
    text = (PAGES / page).read_text()
    return re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[number]


class Gateway:
    """`url` is the protected MCP endpoint; `port` is reserved by the caller, who knows the URL."""

    def __init__(
        self,
        directory: Path,
        port: int,
        server: Server,
        *,
        number: int = 0,
        edit: Callable[[Json], None] | None = None,
        listens: bool = True,
    ) -> None:
        """`number`: which of the page's configurations; `edit` changes it.

        One that does not listen on its port is beside another that does, and only judges.
        """
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"
        self.url = f"{self.origin}/mcp"
        text = page_configuration(server.page, number).replace(PUBLIC, self.origin)
        issuer = json.loads(text)["issuers"][0]["issuer"]
        self.configuration: Json = json.loads(text.replace(issuer, server.issuer))
        if edit is not None:
            edit(self.configuration)
        [described] = self.configuration["issuers"]
        # A machine that does much else at once must not fail a question.
        described.setdefault("keys", {})["timeout_seconds"] = 60
        clusters = {described["cluster"]: server.port} if "cluster" in described else {}
        asking = _asking(described.get("introspection"), server, directory)
        self._stack = ExitStack()
        try:
            self.server = self._stack.enter_context(McpServer(directory))
            self.envoy = self._stack.enter_context(
                Envoy(
                    directory,
                    {
                        "mcp": Listener(
                            wasm=paths.wasm_module(),
                            configuration=self.configuration,
                            port=port if listens else 0,
                        )
                    },
                    {"upstream": self.server.port, **clusters},
                    concurrency=2,
                    extra_clusters=asking,
                )
            )
        except BaseException:
            self._stack.close()
            raise

    def post(self, token: str | None, *, scheme: str = "Bearer") -> http1.Response:
        """`initialize`, as a client sends it."""
        return self._post(token, scheme, new_test_id())

    def judged(self, token: str | None, *, scheme: str = "Bearer") -> tuple[int, str | None]:
        """The status that a token gets, and the filter's reason."""
        test_id = new_test_id()
        answer = self._post(token, scheme, test_id)
        line = self.envoy.logged(test_id, timeout=30)
        return answer.status, line["reason"] if line["reason"] not in ("-", None) else None

    def _post(self, token: str | None, scheme: str, test_id: str) -> http1.Response:
        headers = [
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("x-test-id", test_id),
        ]
        if token is not None:
            headers.append(("authorization", f"{scheme} {token}"))
        host = urllib.parse.urlsplit(self.url).netloc
        return http1.request(
            self.envoy.port, "POST", "/mcp", headers, INITIALIZE, host=host, timeout=PATIENCE
        )

    def last_reason(self, after: int = 0) -> str | None:
        """Of the last request that was refused although it had credentials, after so many requests."""
        reasons = [
            line["reason"]
            for line in self.envoy.access_log()[after:]
            if line["reason"] not in ("-", None, "credentials_missing")
        ]
        return reasons[-1] if reasons else None

    def usable_keys(self) -> int:
        return max(self.envoy.stats("mcp_auth_keys;").values(), default=0)

    def stop(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _asking(introspection: Json | None, server: Server, directory: Path) -> list[Json]:
    """The cluster that asks about tokens, with the credentials that the server gave out.

    `introspection` gets the server's endpoint, if the page names one and not the metadata.
    """
    if introspection is None:
        return []
    asked = server.introspection
    assert asked is not None, f"{server.title} cannot be asked"
    if "endpoint" in introspection:
        introspection["endpoint"] = asked.endpoint
    name = introspection["cluster"]
    if asked.secret is None:
        return [cluster(name, asked.port)]
    credentials = basic(asked.client_id or "", asked.secret)
    return [asking_cluster(name, asked.port, credentials, directory / "secrets")]
