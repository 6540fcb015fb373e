"""Grafana's dashboards and Prometheus' alerts ask for nothing that the service does not tell, and are well made."""

import itertools
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families as parsed

from storage import ledger
from storage.attempts import claim
from storage.leadership import Leadership
from tests.api.conftest import empty_database, site
from tests.dashboards.promql import BadExpression, named

__all__ = ["empty_database", "site"]

GRAFANA = Path(__file__).resolve().parents[2] / "dashboards" / "grafana"
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
OF_PROMETHEUS = {"up": {"job", "instance"}}  # of every target, by Prometheus itself
OF_TARGETS = {"job", "instance"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
OPEN_VALUES = {"route", "status", "method", "job", "instance"}  # what they are is decided by requests and by Prometheus
WIDTH = 24

Exposed = dict[str, dict[str, set[str]]]


@pytest.fixture
def exposed(site: Any) -> Exposed:
    """What an application tells after a job has gone its way: by metric, the values of each label."""
    job = site.submit()["job_id"]
    attempt = claim(site.database, UUID(job), uuid4(), 1)
    attempt.end_step("train", 3.0, made=True, device="cuda")
    attempt.fail(error_code="too_few_frames", error_message="Film longer.")
    ledger.tell(site.database, ledger.read(site.database, site.store))
    Leadership(site.database, patience_seconds=8).held(0.0)
    found: Exposed = {}
    for family in parsed(site.client.get("/metrics").text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def board(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def panels(path: Path) -> list[dict[str, Any]]:
    return board(path)["panels"]


def expressions() -> list[str]:
    of_boards = [target["expr"] for path in BOARDS for panel in panels(path) for target in panel.get("targets", [])]
    of_variables = [
        variable["query"]["query"]
        for path in BOARDS
        for variable in board(path)["templating"]["list"]
        if variable["type"] == "query"
    ]
    of_alerts = [rule["expr"] for group in alerts()["groups"] for rule in group["rules"]]
    return [*of_boards, *of_variables, *of_alerts]


def alerts() -> dict[str, Any]:
    return yaml.safe_load((GRAFANA / "alerts.yml").read_text())


def complaints(expression: str, exposed: Exposed) -> list[str]:
    """What an expression names that is not told."""
    expression = re.sub(r"^label_values\((\w+), (\w+)\)$", r"count by (\2) (\1)", expression.strip())
    found, asked = [], named(expression)
    known_labels = set(OF_TARGETS)
    for metric, matchers in asked.selectors:
        if metric not in exposed and metric not in OF_PROMETHEUS:
            found.append(f"no metric {metric}")
            continue
        values = exposed.get(metric, {})
        labels = values.keys() | OF_PROMETHEUS.get(metric, set()) | OF_TARGETS
        known_labels |= labels
        for label, operator, value in matchers:
            if label not in labels:
                found.append(f"{metric} has no label {label}")
            elif (
                label not in OPEN_VALUES and not set(value.split("|") if "~" in operator else [value]) <= values[label]
            ):
                found.append(f"{metric} has no {label} {value}")
    return [*found, *(f"no label {label}" for label in asked.groupings - known_labels)]


def test_everything_that_is_asked_for_is_told(exposed: Exposed):
    assert len(BOARDS) == 2
    asked = expressions()
    assert len(asked) > 40
    wrong = {expression: wrong for expression in asked if (wrong := complaints(expression, exposed))}
    assert wrong == {}


def test_nothing_of_ours_is_told_that_nobody_looks_at(exposed: Exposed):
    looked_at = {metric for expression in expressions() for metric, _ in named(expression).selectors}
    parts = re.compile(r"_(bucket|sum|count|total|created)$")
    ours = {parts.sub("", metric) for metric in exposed if metric.startswith("splatflow_")}
    assert ours - {parts.sub("", metric) for metric in looked_at} == set()
    explained = (GRAFANA.parents[1] / "docs" / "operations.md").read_text()
    assert [metric for metric in ours if f"`{metric}" not in explained] == []


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("max(splatflow_job)", "no metric splatflow_job"),
        ('splatflow_jobs{stat="queued"}', "splatflow_jobs has no label stat"),
        ('splatflow_jobs{state="waiting"}', "splatflow_jobs has no state waiting"),
        ('splatflow_jobs{state=~"queued|runing"}', "splatflow_jobs has no state queued|runing"),
        ("sum by (slug) (splatflow_jobs)", "no label slug"),
        ("histogram_quantile(0.5, sum by (le) (rate(splatflow_step_seconds[5m])))", "no metric splatflow_step_seconds"),
    ],
)
def test_what_is_not_told_is_noticed(exposed: Exposed, expression: str, complaint: str):
    assert complaint in complaints(expression, exposed)


@pytest.mark.parametrize(
    "expression",
    [
        "rat(x[5m])",
        "rate(x[5 m])",
        "rate(x[5m)",
        "sum by job (x)",
        'x{a="b"',
        "x{a=b}",
        '{job="x"}',
        "x # y",
        "(x",
        "sum by (job,) (x}",
        "x{'a'}",
    ],
)
def test_what_is_no_promql_is_noticed(expression: str):
    with pytest.raises(BadExpression):
        named(expression)


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_boards_are_well_made(path: Path):
    told = board(path)
    assert (told["uid"], told["schemaVersion"], told["id"]) == (path.stem, 42, None)
    assert told["title"]
    assert told["description"]
    assert [variable["name"] for variable in told["templating"]["list"]] == ["datasource", "job"]
    assert told["templating"]["list"][0]["type"] == "datasource"
    assert told["templating"]["list"][1]["datasource"] == SOURCE
    ids = [panel["id"] for panel in panels(path)]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels(path) if panel["type"] == "stat"]
    assert len(set(titles)) == len(titles)
    for panel in panels(path):
        assert panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == SOURCE
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert target["datasource"] == SOURCE
            assert '{job=~"$job"' in target["expr"], target["expr"]
    assert "http" not in re.sub(r"splatflow_http\w+", "", path.read_text()), "nothing is fetched from elsewhere"


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_lie_in_the_grid_and_not_on_each_other(path: Path):
    places = {panel["id"]: panel["gridPos"] for panel in panels(path)}
    for place in places.values():
        assert set(place) == {"x", "y", "w", "h"}
        assert all(type(value) is int and value >= 0 for value in place.values())
        assert min(place["w"], place["h"]) >= 1
        assert place["x"] + place["w"] <= WIDTH
    for one, other in itertools.combinations(places.values(), 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_what_rows_tell_is_not_added_up_over_apis():
    """Every API tells the same of rows: two of them would count everything twice."""
    of_processes = ("splatflow_http_", "splatflow_event_streams", "splatflow_build_info", "splatflow_database_up")
    of_processes += ("splatflow_disk_",)  # of the machine that the API is on
    for expression in expressions():
        for metric, _ in named(expression).selectors:
            if metric.startswith("splatflow_") and not metric.startswith(of_processes):
                around = re.findall(rf"(\w+)(?: by \([^)]*\))? ?\((?:rate\(|increase\()?{metric}\b", expression)
                alone = re.fullmatch(rf"{metric}\{{[^}}]*\}}", expression)  # a line for each API
                assert alone or set(around) == {"max"}, expression


def test_provisioning_fits_the_files():
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://127.0.0.1:9090")
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/splatflow.yaml").read_text())["providers"]
    assert provider["options"]["path"] == "${SPLATFLOW_DASHBOARDS}"
    scraping = yaml.safe_load((GRAFANA / "prometheus.yml").read_text())
    assert scraping["rule_files"] == ["alerts.yml"]
    (job,) = scraping["scrape_configs"]
    assert job["job_name"] == "splatflow"
    assert all(target.startswith("127.0.0.1:") for one in job["static_configs"] for target in one["targets"])
    assert source["jsonData"]["timeInterval"] == scraping["global"]["scrape_interval"]


def test_each_alert_has_its_cases():
    """They are run by hand with promtool, which is not among what the tests need."""
    cases = yaml.safe_load((Path(__file__).parent / "alerts_test.yml").read_text())
    tried = {(case["alertname"], bool(case["exp_alerts"])) for one in cases["tests"] for case in one["alert_rule_test"]}
    names = {rule["alert"] for group in alerts()["groups"] for rule in group["rules"]}
    assert tried == {(name, raised) for name in names for raised in (True, False)}


def test_alerts_say_what_to_do():
    rules = [rule for group in alerts()["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["alert"].startswith("Splatflow")
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
