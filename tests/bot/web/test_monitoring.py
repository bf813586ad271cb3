"""The alerts, the dashboard and the table of the document speak of metrics that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bot.web.conftest import Site
from tests.test_documents import ROOT

HERE = ROOT / "bot" / "web"
MONITORING = HERE / "monitoring"
#: What Prometheus itself knows of each target.
OF_PROMETHEUS = {"up"}
FUNCTIONS = {"sum", "delta", "and", "humanizeDuration"}


def loaded(path: Path) -> Any:
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = loaded(MONITORING / "grafana" / "dashboards" / "video-bot.json")
    return found


def alerts() -> list[dict[str, Any]]:
    groups = loaded(MONITORING / "alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = loaded(ROOT / "docker-compose.yml")
    return found


def selectors(expression: str) -> list[tuple[str, dict[str, str]]]:
    """Every metric that a PromQL expression names, with the labels it asks for."""
    found = []
    for name, labels in re.findall(r"([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?", expression):
        if labels or name.startswith("video_bot_"):
            pairs = re.findall(r'(\w+)=~?"([^"]*)"', labels)
            found.append((name, dict(pairs)))
    return found


def in_alerts() -> list[str]:
    return [rule["expr"] for rule in alerts()]


def in_dashboard() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def exposed(site: Site) -> dict[str, list[dict[str, str]]]:
    """Every metric of the real process, with the labels of its samples."""
    answer = site.get("/metrics")
    assert answer.status == 200
    found: dict[str, list[dict[str, str]]] = {
        name: [] for name in re.findall(r"^# TYPE (\S+)", answer.body, re.MULTILINE)
    }
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", answer.body, re.MULTILINE):
        found[name].append(dict(re.findall(r'(\w+)="([^"]*)"', labels)))
    return found


@pytest.mark.parametrize("where", [in_alerts, in_dashboard])
def test_every_metric_that_is_asked_for_is_there(site: Site, where: Any) -> None:
    there = exposed(site)
    expressions = where()
    assert len(expressions) > 10
    for expression in expressions:
        asked = selectors(expression)
        assert asked, expression
        for name, labels in asked:
            if name in OF_PROMETHEUS:
                assert labels == {"job": "video-bot"}
                continue
            assert name in there, expression
            for label, values in labels.items():
                # Quantiles of nothing are not told.
                if there[name]:
                    known = {each[label] for each in there[name]}
                    assert {*values.split("|")} <= known, expression


def test_every_metric_is_shown_and_told_of(site: Site) -> None:
    there = {*exposed(site)}
    shown = {name for expression in in_dashboard() for name, _ in selectors(expression)}
    assert shown - OF_PROMETHEUS == there
    told = re.findall(r"^``(video_bot_\w+)`` ", (HERE / "README.rst").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(there)
    assert all(name.startswith("video_bot_") for name in there)


def test_every_alert_says_what_it_means() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len({*names})
    for rule in alerts():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert {*rule["annotations"]} == {"summary", "description"}
        assert {*rule} <= {"alert", "expr", "for", "labels", "annotations"}
        for opening, closing in ("()", "{}", "[]"):
            assert rule["expr"].count(opening) == rule["expr"].count(closing)


def test_the_panels_do_not_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len({*ids})


def test_prometheus_finds_its_rules_its_target_and_its_token() -> None:
    services = compose()["services"]
    settings = loaded(MONITORING / "prometheus.yml")
    [scrape] = settings["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["web:8080"]}]
    assert "127.0.0.1:8080:8080" in services["web"]["ports"]
    assert scrape["job_name"] == "video-bot"
    mounted = mounts("prometheus")
    assert mounted["/etc/prometheus/prometheus.yml"] == MONITORING / "prometheus.yml"
    for rules in settings["rule_files"]:
        assert mounted[f"/etc/prometheus/{rules}"] == MONITORING / rules
    [config] = services["prometheus"]["configs"]
    assert scrape["authorization"]["credentials_file"] == config["target"]
    # What is sent is what is asked for.
    content = compose()["configs"][config["source"]]["content"]
    assert content == services["web"]["environment"]["METRICS_TOKEN"]


def test_grafana_finds_its_source_and_its_dashboard() -> None:
    mounted = mounts("grafana")
    provisioning = mounted["/etc/grafana/provisioning"]
    [source] = loaded(provisioning / "datasources" / "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    for panel in dashboard()["panels"]:
        assert {each["datasource"]["uid"] for each in [panel, *panel["targets"]]} == {source["uid"]}
    [provider] = loaded(provisioning / "dashboards" / "video-bot.yml")["providers"]
    folder = mounted[provider["options"]["path"]]
    assert [path.name for path in folder.iterdir()] == ["video-bot.json"]


def mounts(service: str) -> dict[str, Path]:
    """What of this checkout a service sees, by the path it sees it under; none can be written."""
    found = {}
    for volume in compose()["services"][service]["volumes"]:
        source, target, *mode = volume.split(":")
        if source.startswith("."):
            assert mode == ["ro"]
            found[target] = ROOT / source
            assert found[target].exists()
    return found


def test_monitoring_is_started_only_when_it_is_asked_for() -> None:
    on_demand = {
        name
        for name, each in compose()["services"].items()
        if each.get("profiles") == ["monitoring"]
    }
    assert on_demand == {"prometheus", "grafana"}
