"""A page in a real browser, on another origin: all that it needs can be read by its script."""

from __future__ import annotations

from pathlib import Path

from support.browser import Page
from support.challenges import parse_challenge
from support.stack import Stack
from support.waiting import until

OPERATIONS = [{"method": "tools/call", "name": "whoami", "scopes": ["mcp:admin"]}]


def test_a_page_logs_in_and_works(wasm: Path, concurrency: int, tmp_path: Path) -> None:
    with Page() as page:
        known = {
            "client_id": "page",
            "application_type": "native",
            "redirect_uris": [page.url],
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
        with Stack(
            tmp_path,
            wasm,
            concurrency=concurrency,
            resource={"operations": OPERATIONS},
            authorization={"clients": [known]},
        ) as stack:
            report = page.visit(tmp_path, {"mcp": stack.url, "client": "page"})
    assert "error" not in report, report["error"]
    refused = report["refused"]
    assert refused["status"] == 401
    assert refused["body"]["error"] == "unauthorized"
    assert parse_challenge(refused["challenge"]) == (
        "Bearer",
        {"resource_metadata": stack.metadata_url, "scope": "mcp:read"},
    )
    assert report["resource"] == stack.url

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


def test_other_origins_get_nowhere(wasm: Path, concurrency: int, tmp_path: Path) -> None:
    resource = {"allowed_origins": ["https://app.example.com"]}
    with Page() as page, Stack(
        tmp_path, wasm, concurrency=concurrency, resource=resource
    ) as stack:
        report = page.visit(tmp_path, {"mcp": stack.url})
        assert "Failed to fetch" in report["error"], report
        assert "refused" not in report
        logged = until(stack.envoy.access_log, "the access log")
        assert {entry["reason"] for entry in logged} == {"origin_not_allowed"}
