"""Clients of SmartEM are at home here: all that they ask for is there, and nothing is otherwise but
what `docs/api.md` tells.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from entrypoints.openapi_document import document
from tests.conftest import ROOT
from tests.contract.smartem.comparison import Difference, differences, operations

DOCS = ROOT / "docs" / "api.md"
_ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def theirs(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "contracts" / "smartem-openapi.json").read_text())


@pytest.fixture(scope="module")
def ours() -> dict[str, Any]:
    return document()


def told() -> list[tuple[str, str, str]]:
    """Return the rows of the table of differences: operation, place, what."""
    section = DOCS.read_text().split("## What is otherwise than in SmartEM", 1)[1].split("\n## ")[0]
    return [(operation, where, what.strip()) for operation, where, what in _ROW.findall(section)]


def tells(row: tuple[str, str, str], found: Difference) -> bool:
    given = (found.operation, found.where, found.what)
    return all(_fits(pattern, text) for pattern, text in zip(row, given, strict=True))


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None


def test_each_operation_of_theirs_is_there(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    assert len(operations(theirs)) == 87
    assert set(operations(theirs)) - set(operations(ours)) == set()


def test_what_is_otherwise_is_told_and_what_is_told_is_so(
    theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    rows, found = told(), list(differences(theirs, ours))
    assert rows
    untold = [str(one) for one in found if not any(tells(row, one) for row in rows)]
    assert untold == [], f"tell it in the table of {DOCS.name}, or mend it"
    idle = [row for row in rows if not any(tells(row, one) for one in found)]
    assert idle == [], f"nothing is so any more: take it out of the table of {DOCS.name}"


def test_debug_routes_are_there_only_when_switched_on(ours: dict[str, Any]) -> None:
    hidden = {name for name in operations(ours) if " /debug/" in name}
    assert len(hidden) == 8
    assert set(operations(ours)) - set(operations(document(debug_routes=False))) == hidden
