"""Metrics of a server that has all of them, and what reads them: Prometheus, alerts and the dashboard."""

import json
import re

import observed_server
import pytest
import yaml
from conftest import DEPLOY, SOURCE, checked, need

PROMETHEUS = DEPLOY / "compose" / "prometheus"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "mrl.json"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return observed_server.page(tmp_path_factory.mktemp("observed"))


@pytest.fixture(scope="module")
def families(page):
    """{name: its samples}."""
    names = re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE)
    sample = r"^{}(?:_bucket|_sum|_count)?(?:{{.*}})? (\S+)$"
    return {name: re.findall(sample.format(name), page, re.MULTILINE) for name in names}


def test_page_passes_promtool(page):
    need("promtool")
    assert checked("promtool", "check", "metrics", input=page) == ""


def test_every_family_has_samples(families):
    assert [name for name, samples in families.items() if not samples] == []


def test_what_happened_was_counted(page):
    """How often the threads behind sealed and merged is theirs to choose."""
    for kind in ("seal", "merge"):
        done = re.search(rf'^mrl_compactions_total{{collection="words",kind="{kind}"}} (\d+)$', page, re.MULTILINE)
        assert int(done[1]) >= 1
    assert '\nmrl_collection_rows{collection="words"} 2000\n' in page
    assert '\nmrl_tail_rows{collection="words"} 0\n' in page
    assert '\nmrl_trace_spans_total{result="dropped"} 0\n' in page
    for name in observed_server.AWAITED:
        assert f"\n{name}{{" in page


def test_guide_names_every_family_and_no_other(families):
    guide = (SOURCE / "docs" / "operations.md").read_text()
    section = guide.split("## Metrics\n")[1].split("\n## ")[0]
    assert set(re.findall(r"`(mrl_\w+)", section)) == set(families)


@pytest.fixture(scope="module")
def panels():
    return json.loads(DASHBOARD.read_text())["panels"]


def expressions(panels):
    rules = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"]
    yield from (target["expr"] for panel in panels for target in panel.get("targets", []))
    yield from (rule["expr"] for group in rules for rule in group["rules"])


def test_rules_and_configuration_pass_promtool(tmp_path):
    need("promtool")
    text = (PROMETHEUS / "prometheus.yaml").read_text()
    local = tmp_path / "prometheus.yaml"
    local.write_text(text.replace("/etc/prometheus", str(PROMETHEUS)))
    assert "12 rules found" in checked("promtool", "check", "config", local)


def test_dashboard_expressions_parse(panels, tmp_path):
    need("promtool")
    rules = [
        {"record": f"panel:{i}", "expr": re.sub(r"\$__rate_interval", "5m", expression)}
        for i, expression in enumerate(expressions(panels))
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    checked("promtool", "check", "rules", file)


def test_dashboard_panels_do_not_overlap(panels):
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))


def test_dashboard_and_rules_use_metrics_that_the_server_has(panels, page):
    """A name that moved would leave a panel empty and an alert silent."""
    has = set(re.findall(r"^(mrl_\w+)", page, re.MULTILINE))
    used = set(re.findall(r"\bmrl_\w+", " ".join(expressions(panels))))
    assert used
    assert used - has == set()


def test_every_alert_of_the_guide_is_a_rule():
    """Those that the guide writes as an expression."""
    guide = (SOURCE / "docs" / "operations.md").read_text()
    section = guide.split("Worth an alert: ")[1].split("\n\n")[0]
    rules = (PROMETHEUS / "alerts.yaml").read_text()
    named = re.findall(r"`(?:rate\()?(mrl_\w+)", section)
    assert "mrl_certificate_expired" in named
    assert [name for name in named if name not in rules] == []
