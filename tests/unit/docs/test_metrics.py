"""docs/operate.md tells each metric, as it is defined."""

import re

import pytest

from tests.conftest import ROOT
from tests.metric_names import DEFINITIONS, Definition

LINES = (ROOT / "docs" / "operate.md").read_text().splitlines()


def row_of(one: Definition) -> str:
    labels = ", ".join(f"`{label}`" for label in one.labels) or "none"
    return f"| `{one.name}` | {one.kind} | {labels} | {one.documentation} |"


@pytest.mark.parametrize("one", DEFINITIONS, ids=lambda one: one.name)
def test_operate_tells_each_metric(one: Definition) -> None:
    row = row_of(one)
    assert row in LINES, f"docs/operate.md, table of metrics: set the row of {one.name} to\n{row}"


def test_operate_names_no_metric_that_does_not_exist() -> None:
    told = {name for line in LINES for name in re.findall(r"\bathanor_[a-z_]+\b", line)}
    known = {one.name for one in DEFINITIONS}
    assert {name for name in told if name.endswith(("_total", "_seconds"))} - known == set()
    rows = [line for line in LINES if line.startswith("| `athanor_")]
    assert len(rows) == len(DEFINITIONS)
