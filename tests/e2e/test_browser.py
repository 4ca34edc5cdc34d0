"""A page in a real browser, on another origin: all that it needs can be read by its script."""

from __future__ import annotations

from pathlib import Path

from support.browser import OPERATIONS, Page, check_report
from support.stack import Stack
from support.waiting import until


def test_a_page_logs_in_and_works(wasm: Path, concurrency: int, tmp_path: Path) -> None:
    with Page() as page, Stack(
        tmp_path,
        wasm,
        concurrency=concurrency,
        resource={"operations": OPERATIONS},
        authorization={"clients": [page.registration("page")]},
    ) as stack:
        report = page.visit(tmp_path, {"mcp": stack.url, "client": "page"})
    check_report(report, stack.url, stack.metadata_url)


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
