"""Dashboard and alerts beside what a real Prometheus scrapes from real Envoys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import cases, dashboard, http1, paths, traps
from support.bootstrap import Json, Listener
from support.envoy import Envoy
from support.prometheus import Prometheus
from support.recorder import Recorder
from support.traffic import ENFORCES, LOGIN, OBSERVES, Traffic
from support.waiting import until

ALERTS = paths.REPOSITORY / "envoy" / "observability" / "alerts.yaml"

# Soon overdue, so that stale keys are used; long trusted, so that these still let through.
KEYS = {"refresh_seconds": 1, "timeout_seconds": 20, "max_stale_seconds": 3600}

# Every query of the dashboard looks back so far: over all that the test does.
RATE_INTERVAL = "5m"

QUERIES = [(panel.title, query) for panel in dashboard.panels() for query in panel.queries]


@pytest.fixture(scope="module")
def scraped(wasm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus after traffic of all kinds, a wait for keys and for a body, and an outage of the issuer."""
    directory = tmp_path_factory.mktemp("metrics")
    with (
        Traffic(directory, wasm, keys=KEYS) as traffic,
        Prometheus(
            directory / "prometheus", traffic.admin_ports, job="envoy-mcp", rules=[ALERTS]
        ) as prometheus,
    ):
        traffic.hold(3)
        traffic.wait_for("held_requests")
        prometheus.wait_for_scrapes(2)
        traffic.let_go()
        traffic.hold_body()
        traffic.wait_for("held_body_bytes")
        traffic.send_all()
        # Within an outage it may be a new key's.
        prometheus.wait_for_scrapes(2)
        traffic.send_all(["forged"])
        traffic.login.refuse()
        traffic.wait_for("key_fetches_total;issuer=.*;result=unreachable")
        until(
            lambda: traffic.send("good") == 200 and traffic.envoys[ENFORCES].stats("stale_keys"),
            "stale keys to be used",
            timeout=20,
            interval=0.1,
        )
        # A rate takes two scrapes of a counter that grows.
        for _ in range(3):
            prometheus.wait_for_scrapes(1)
            traffic.send_all()
        prometheus.wait_for_scrapes(3)
        yield prometheus


def test_every_panel_has_data(scraped: Prometheus) -> None:
    faults = []
    for title, query in QUERIES:
        # The fallback would hide that there is nothing.
        found = scraped.query(query.resolved(RATE_INTERVAL).removesuffix(" or vector(0)"))
        wanted = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        if not found:
            faults.append(f"{title}: nothing")
        elif any(one["value"][1] in ("NaN", "+Inf") for one in found):
            faults.append(f"{title}: {found}")
        elif not any(wanted <= one["metric"].keys() for one in found):
            faults.append(f"{title}: no series has {wanted}")
    assert not faults


def test_every_panel_names_what_exists(scraped: Prometheus) -> None:
    faults = [
        f"{title}: {fault}"
        for title, query in QUERIES
        for fault in _unknown(scraped, query.expression)
    ]
    assert not faults


def test_the_panels_tell_enforcing_from_observing(scraped: Prometheus) -> None:
    """The same requests went to both Envoys: each panel has those of one."""
    named = dict(QUERIES)
    for title, instance in (
        ("Refusals by reason", ENFORCES),
        ("Observe mode: what would be refused", OBSERVES),
    ):
        query = named[title].resolved(RATE_INTERVAL)
        assert {one["metric"]["reason"] for one in scraped.query(query)} >= {
            "credentials_missing", "expired", "audience_not_allowed", "keys_unavailable",
        }  # fmt: skip
        other = {ENFORCES: OBSERVES, OBSERVES: ENFORCES}[instance]
        assert scraped.query(named[title].resolved(RATE_INTERVAL, {"instance": instance}))
        assert not scraped.query(named[title].resolved(RATE_INTERVAL, {"instance": other}))


def test_every_metric_of_the_filter_is_scraped_and_shown(scraped: Prometheus) -> None:
    source = (paths.REPOSITORY / "src" / "worker" / "metrics.rs").read_text()
    defined = set(re.findall(r'"(mcp_auth_\w+)', source)) | set(
        re.findall(r"\bmcp_auth_\w+(?=;)", source)
    )
    shown = {metric for _, query in QUERIES for metric, _ in dashboard.selectors(query.expression)}
    scraped_names = {name for name in scraped.metric_names() if name.startswith("mcp_auth_")}
    assert scraped_names == defined
    assert defined <= shown


def test_the_labels_are_closed_sets_and_configuration(scraped: Prometheus) -> None:
    def values(label: str) -> set[str]:
        return {
            one["metric"][label]
            for one in scraped.query(f'{{__name__=~"mcp_auth_.+", {label}!=""}}')
        }

    assert values("decision") == {"pass", "answer", "allow", "refuse", "observe"}
    assert values("reason") <= cases.reasons().keys()
    assert values("issuer") == {LOGIN, "https://partner.example.com"}
    assert values("resource") <= {"https://mcp.example.com/mcp", "https://mcp.example.com/files"}


def test_the_alerts_name_what_exists(scraped: Prometheus) -> None:
    def judged() -> list[Json]:
        rules = scraped.rules()
        return rules if all(rule["health"] == "ok" for rule in rules) else []

    rules = until(judged, "the alerts to be judged", timeout=30)
    assert len(rules) == ALERTS.read_text().count("- alert:")
    faults = [
        f"{rule['name']}: {fault}" for rule in rules for fault in _unknown(scraped, rule["query"])
    ]
    assert not faults


def test_alerts_see_the_observing_and_the_skipped_key(scraped: Prometheus) -> None:
    """Two that need no long time here: the others are in alerts_test.yaml."""

    def states() -> dict[str, str]:
        return {rule["name"]: rule["state"] for rule in scraped.rules()}

    until(
        lambda: (
            states()["McpAuthKeysSkipped"] == "firing"
            and states()["McpAuthObserveMode"] == "pending"
        ),
        "the alerts",
        timeout=20,
        interval=0.2,
    )
    assert states()["McpAuthFilterMissing"] == "inactive"


def test_a_crash_is_counted(recorder: Recorder, tmp_path: Path) -> None:
    """The counters that McpAuthVmReloads looks at, with a module that crashes on each request."""
    module = tmp_path / "trap.wasm"
    module.write_bytes(traps.module())
    listener = Listener(wasm=module, configuration={}, failure_policy="FAIL_RELOAD")
    with Envoy(tmp_path / "envoy", {"mcp": listener}, {"upstream": recorder.port}) as envoy:

        def reloaded() -> int:
            assert http1.get(envoy.port, "/mcp").status == 503
            return envoy.stat("wasm.mcp_auth.vm_reload_success")

        until(reloaded, "a new VM", timeout=20, interval=0.2)
        text = envoy.admin("/stats/prometheus")[1]
        assert re.search(r"^envoy_wasm_mcp_auth_vm_reload_success\S* [1-9]", text, re.MULTILINE)


def _unknown(scraped: Prometheus, expression: str) -> Iterator[str]:
    """Metrics that are not there, and labels that the query names and no series has."""
    labels: set[str] = set()
    for metric, named in dashboard.selectors(expression):
        has = scraped.label_names(metric)
        if not has:
            yield f"there is no {metric}"
        elif missing := named - has:
            yield f"{metric} has no {missing}"
        labels |= has
    if missing := dashboard.grouped(expression) - labels:
        yield f"no metric of the query has {missing}"
