"""A page on an origin of its own, opened in a real browser without a window."""

from __future__ import annotations

import http.server
import json
import os
import queue
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from . import certificates
from .challenges import parse_challenge
from .processes import Child
from .threaded import Threaded

_PAGE = Path(__file__).with_name("browser_page.html")
# Where there is no snap, and no profile of AppArmor for it, Ubuntu's `chromium` has no sandbox, and does not start.
_BROWSERS = ("chromium-headless-shell", "google-chrome", "chrome", "chromium")


def binary() -> str:
    """$CHROMIUM, or the first of its kind on PATH."""
    if named := os.environ.get("CHROMIUM"):
        return named
    found = (path for name in _BROWSERS if (path := shutil.which(name)))
    browser = next(found, None)
    assert browser, "no Chromium: run scripts/browser, or set CHROMIUM to one"
    return browser


class Page(Threaded):
    """The page's server; its origin is that of no other server of the tests."""

    def __init__(self) -> None:
        reports: queue.Queue[dict[str, Any]] = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(_PAGE.read_bytes() if self.path.split("?")[0] == "/" else b"")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self._answer(b"")
                reports.put(json.loads(body))

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._reports = reports
        super().__init__(Handler)
        # Another host and another port than the resource's: as foreign as can be.
        self.url = f"http://localhost:{self.port}/"

    def registration(self, client: str) -> dict[str, Any]:
        """The page as a client that the authorization server knows beforehand."""
        return {
            "client_id": client,
            "application_type": "native",
            "redirect_uris": [self.url],
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }

    def visit(
        self,
        directory: Path,
        parameters: Mapping[str, str],
        *,
        trusted: Sequence[Path] = (),
        timeout: float = 60,
    ) -> dict[str, Any]:
        """Opens the page with these parameters; what it reports. `trusted`: certificates of servers."""
        options = ["--headless", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage"]
        # Root has no sandbox; nothing but our own page is opened.
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        options += [f"--user-data-dir={directory / 'profile'}", "--remote-debugging-port=0"]
        if trusted:
            hashes = ",".join(certificates.public_key_hash(one) for one in trusted)
            options.append(f"--ignore-certificate-errors-spki-list={hashes}")
        url = f"{self.url}?{urlencode(parameters)}"
        with Child("browser", [binary(), *options, url], directory) as browser:
            try:
                return self._reports.get(timeout=timeout)
            except queue.Empty:
                raise AssertionError(f"the page reported nothing:\n{browser.log()}") from None


OPERATIONS = [{"method": "tools/call", "name": "whoami", "scopes": ["mcp:admin"]}]
"""What the page expects of the resource, beside the scope `mcp:read`."""


def check_report(report: Mapping[str, Any], url: str, metadata_url: str) -> None:
    """The page has logged in at this resource and worked, in both protocol eras."""
    assert "error" not in report, report["error"]
    refused = report["refused"]
    assert refused["status"] == 401
    assert refused["body"]["error"] == "unauthorized"
    assert parse_challenge(refused["challenge"]) == (
        "Bearer",
        {"resource_metadata": metadata_url, "scope": "mcp:read"},
    )
    assert report["resource"] == url

    assert report["session"]["known"]
    assert report["session"]["result"]["protocolVersion"] == "2025-11-25"
    assert {tool["name"] for tool in report["listed"]["result"]["tools"]} >= {"echo", "count"}
    for called, text in (("called", "from a browser"), ("modern", "again")):
        assert report[called]["result"]["content"][0]["text"] == text
    assert report["streamed"]["result"]["content"][0]["text"] == "counted to 3"
    assert report["streamed"]["pieces"] > 1, "events come as they are sent"
    assert report["ended"] in (200, 204)

    denied = report["denied"]
    assert denied["status"] == 403
    assert parse_challenge(denied["challenge"])[1]["scope"] == "mcp:read mcp:admin"
