"""Metrics are named as Prometheus asks, with units, and with few labels of few values."""

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry

from core import metrics
from tests.conftest import ROOT
from tests.metric_names import DEFINITIONS, Definition
from tests.support import PATIENCE

#: Everything that a label may tell apart; none of them is an id.
LABELS = {"flow", "kind", "operation", "outcome", "priority", "reason", "stage", "state", "version"}


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda one: one.name)
def test_names_begin_with_ours_and_end_with_what_they_count(one: Definition) -> None:
    assert one.name.startswith("athanor_")
    assert (one.kind == "counter") == one.name.endswith("_total")
    if one.kind == "histogram":
        assert one.name.endswith(("_seconds", "_messages"))
    if {"age", "timestamp"} & set(one.name.split("_")):
        assert one.name.endswith("_seconds")


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda one: one.name)
def test_labels_are_of_few_values(one: Definition) -> None:
    assert set(one.labels) <= LABELS


def test_each_name_is_defined_once() -> None:
    names = [one.name for one in DEFINITIONS]
    assert len(names) == len(set(names))


def test_importing_the_definitions_starts_and_registers_nothing_elsewhere() -> None:
    script = (
        "import threading, prometheus_client as p\n"
        "before = {f.name for f in p.REGISTRY.collect()}\n"
        "import core.metrics\n"
        "assert threading.active_count() == 1\n"
        "assert {f.name for f in p.REGISTRY.collect()} == before\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=PATIENCE)


def test_a_moment_is_shown_only_where_it_is_set() -> None:
    registry = CollectorRegistry()
    connected = metrics.Moment("connected", "Connected.", registry=registry)

    assert registry.get_sample_value("connected") is None
    connected.set(0)
    assert registry.get_sample_value("connected") == 0
