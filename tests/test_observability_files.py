"""The files of envoy/observability/ as such: syntax, unit tests of the alerts, what they have in common.

e2e/test_metrics.py holds them against what Envoy says; test_tracing.py has the traces.
"""

from __future__ import annotations

import re
from pathlib import Path

from support import dashboard, http1, paths
from support.bootstrap import Listener
from support.envoy import Envoy
from support.ports import ReservedPort
from support.prometheus import promtool
from test_examples import adapted, started, validate

OBSERVABILITY = paths.REPOSITORY / "envoy" / "observability"
DOCUMENT = (paths.REPOSITORY / "docs" / "observability.md").read_text()
ALERTS = (OBSERVABILITY / "alerts.yaml").read_text()
COLUMNS = 24


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", ALERTS)


def test_the_alerts_are_well_formed() -> None:
    said = promtool("check", "rules", OBSERVABILITY / "alerts.yaml")
    assert f"{len(alerts())} rules found" in said


def test_the_alerts_fire_on_what_they_are_for() -> None:
    promtool("test", "rules", OBSERVABILITY / "alerts_test.yaml")
    tested = (OBSERVABILITY / "alerts_test.yaml").read_text()
    assert [name for name in alerts() if name not in tested] == []


def test_prometheus_takes_its_configuration() -> None:
    promtool("check", "config", OBSERVABILITY / "prometheus.yml")


def test_every_alert_says_what_to_do() -> None:
    for rule in re.split(r"- alert: ", ALERTS)[1:]:
        name = rule.split("\n", 1)[0]
        assert re.search(r"severity: (critical|warning|info) ", rule), name
        assert "summary: " in rule and "description: " in rule, name


def test_the_document_has_every_alert_and_every_metric() -> None:
    assert [name for name in alerts() if f"`{name}`" not in DOCUMENT] == []
    shown = {
        metric
        for panel in dashboard.panels()
        for query in panel.queries
        for metric, _ in dashboard.selectors(query.expression)
    }
    metrics = {metric.removesuffix("_bucket") for metric in shown}
    assert [name for name in sorted(metrics) if name not in DOCUMENT] == []


def test_the_stats_tags_are_those_of_the_deployment() -> None:
    pattern = r"^stats_config:\n(?: .*\n)+"
    (ours,) = re.findall(pattern, (OBSERVABILITY / "stats_tags.yaml").read_text(), re.MULTILINE)
    for file in ("envoy.yaml", "hydra/envoy.yaml"):
        text = (paths.REPOSITORY / "envoy" / file).read_text()
        assert re.findall(pattern, text, re.MULTILINE) == [ours], file


def test_the_documents_log_format_is_that_of_the_deployment() -> None:
    """Field by field, each of which the document explains."""
    text = (paths.REPOSITORY / "envoy" / "envoy.yaml").read_text()
    (block,) = re.findall(r"json_format:\n((?: {26}.*\n)+)", text)
    fields = re.findall(r'^ +(\w+): ("%.+%")$', block, re.MULTILINE)
    assert len(fields) >= 11
    for name, value in fields:
        assert f"{name}: {value}" in DOCUMENT, name
        assert f"| `{name}` |" in DOCUMENT, name


def test_the_dashboard_is_sound() -> None:
    made = dashboard.load()
    panels = dashboard.panels()
    assert made["schemaVersion"] >= 39, "Grafana 11"
    assert len({panel.json["id"] for panel in panels}) == len(panels)
    assert len({panel.title for panel in panels}) == len(panels)
    for panel in panels:
        if panel.kind == "row":
            continue
        assert panel.json["datasource"]["uid"] == "${datasource}", panel.title
        assert panel.json["description"], panel.title
        assert panel.queries, panel.title
        assert [one["refId"] for one in panel.json["targets"]] == sorted(
            {one["refId"] for one in panel.json["targets"]}
        )


def test_the_dashboards_variables_are_defined_and_used() -> None:
    defined = [one["name"] for one in dashboard.load()["templating"]["list"]]
    used = {
        name
        for panel in dashboard.panels()
        for query in panel.queries
        for name in query.variables()
    }
    assert used | {"datasource"} == set(defined)


def test_the_dashboards_panels_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard.panels():
        grid = panel.grid
        assert grid["x"] + grid["w"] <= COLUMNS, panel.title
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert (x, y) not in taken, (panel.title, taken[x, y])
                taken[x, y] = panel.title
    assert len(taken) == COLUMNS * (1 + max(y for _, y in taken)), "there is a hole"


def test_the_metrics_listener_shows_metrics_and_nothing_else(tmp_path: Path) -> None:
    text = (OBSERVABILITY / "metrics-listener.yaml").read_text()
    done = validate(text, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "deprecated" not in done.stdout.lower()
    listener = Listener(wasm=None, configuration={})
    with (
        ReservedPort() as nobody,
        Envoy(tmp_path / "envoy", {"mcp": listener}, {"upstream": nobody.number}) as envoy,
    ):
        local = adapted(
            text,
            {
                "address: 0.0.0.0, port_value: 9902": "address: 127.0.0.1, port_value: 0",
                "port_value: 9901": f"port_value: {envoy.admin_port}",
            },
        )
        with started(local, tmp_path) as metrics:
            shown = http1.request(metrics.port, "GET", "/stats/prometheus?usedonly")
            assert shown.status == 200
            assert b"envoy_http_downstream_rq_total" in shown.body
            for method, path in [
                ("POST", "/quitquitquit"),
                ("POST", "/stats/prometheus"),
                ("GET", "/config_dump"),
                ("GET", "/"),
                ("GET", "/stats/prometheus/../../config_dump"),
                ("GET", "/stats"),
            ]:
                assert http1.request(metrics.port, method, path).status == 404, path
        envoy.check()
