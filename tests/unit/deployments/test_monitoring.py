"""Dashboard and alerts ask for metrics that exist, by labels that they have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.metric_names import DEFINITIONS

FOLDER = ROOT / "deployments" / "monitoring"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
RULES = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

#: What Prometheus adds to each sample, and a histogram to its buckets.
ADDED = {"job", "instance", "le"}
#: What every process shows without our doing.
FOREIGN = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}

_NAME = re.compile(r"\b(?:athanor_\w+|process_\w+|up(?=\{))")
_SELECTED = re.compile(r"\b((?:athanor|process)_\w+|up)\{([^}]*)\}")
_GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def expressions() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for number, target in enumerate(panel["targets"]):
            yield f"{panel['title']} {number}", target["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


EXPRESSIONS = list(expressions())
BY_SERIES = {series: one for one in DEFINITIONS for series in one.series}
named = pytest.mark.parametrize(
    ("what", "expression"), EXPRESSIONS, ids=[w for w, _ in EXPRESSIONS]
)


@named
def test_each_metric_that_is_asked_for_is_defined(what: str, expression: str) -> None:
    asked = set(_NAME.findall(expression))
    assert asked, f"{what} asks for nothing"
    assert asked - BY_SERIES.keys() - FOREIGN == set()


@named
def test_each_label_that_is_asked_for_exists(what: str, expression: str) -> None:
    asked = [BY_SERIES[name] for name in _NAME.findall(expression) if name in BY_SERIES]
    known = {label for one in asked for label in one.labels} | ADDED
    for name, selector in _SELECTED.findall(expression):
        own = {*BY_SERIES[name].labels, *ADDED} if name in BY_SERIES else ADDED
        assert set(_LABEL.findall(selector)) <= own, what
    for group in _GROUPED.findall(expression):
        assert {label.strip() for label in group.split(",")} <= known, what


@named
def test_each_bracket_is_closed(what: str, expression: str) -> None:
    pairs = {")": "(", "]": "[", "}": "{"}
    opened: list[str] = []
    for sign in re.sub(r'"[^"]*"', "", expression):
        if sign in pairs.values():
            opened.append(sign)
        elif sign in pairs:
            assert opened.pop() == pairs[sign], what
    assert opened == [], what


@named
def test_counters_are_asked_for_as_rates(what: str, expression: str) -> None:
    for name in _NAME.findall(expression):
        if name.endswith(("_total", "_bucket", "_count")):
            assert re.search(rf"(?:rate|increase)\({name}", expression), what


def test_each_metric_is_shown_or_watched() -> None:
    asked = {name for _, expression in EXPRESSIONS for name in _NAME.findall(expression)}
    assert [one.name for one in DEFINITIONS if not one.series & asked] == []


def test_panels_have_titles_units_and_places_of_their_own() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in PANELS:
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panels_of_seconds_and_bytes_say_so(panel: dict[str, Any]) -> None:
    names = [name for t in panel["targets"] for name in _NAME.findall(t["expr"])]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if all(name.endswith("_bytes") for name in names):
        assert unit == "bytes"
    if all(re.search(r"_seconds(_bucket)?$", name) for name in names):
        assert unit == "s"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alerts_say_how_urgent_they_are_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    assert len([one for one in RULES if one["alert"] == rule["alert"]]) == 1


def test_jobs_that_alerts_name_are_scraped() -> None:
    scraped = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    jobs = {one["job_name"] for one in scraped["scrape_configs"]}
    assert scraped["rule_files"] == ["alerts.yaml"]
    asked = set()
    for rule in RULES:
        for found in re.findall(r'job=~?"([^"]+)"', rule["expr"]):
            asked |= {job for job in jobs if re.fullmatch(found, job)}
    assert asked == jobs == {f"athanor-{name}" for name in ("api", "worker", "sensor", "agent")}


def test_prometheus_own_checker_takes_rules_and_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool, which comes with Prometheus")
    for arguments in (["check", "rules", "alerts.yaml"], ["check", "config", "prometheus.yaml"]):
        done = subprocess.run(
            [promtool, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
