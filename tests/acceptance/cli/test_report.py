"""`athanor report`: one page that needs nothing else, with every decision and its trail."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.cli.conftest import GRID, Athanor

#: What makes a browser load something.
_LOADS = re.compile(r"""<(?:link|img|iframe|script)\b[^>]*\b(?:src|href)\s*=|@import|url\(""")


@pytest.fixture
def report(athanor: Athanor, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    assert athanor("report", GRID, "-o", path).code == 0
    return path


def test_the_report_has_every_decision_and_loads_nothing(report: Path, athanor: Athanor) -> None:
    text = report.read_text()
    ours = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert _LOADS.search(ours) is None
    assert "default-src 'none'" in ours
    for one in athanor("decisions", "list", "--json").json["items"]:
        assert f'data-id="{one["id"]}"' in ours
        trail = athanor("decisions", "show", one["id"], "--json").json
        assert all(each["message"] in ours for each in trail["predictions"])


def test_a_session_is_named_by_uuid_or_name_or_is_the_latest(
    athanor: Athanor, tmp_path: Path
) -> None:
    path = tmp_path / "named.html"
    assert athanor("report", "trial", "-o", path).code == 0
    assert athanor("report", "-o", path, "--decisions", 0).code == 0
    assert "data-id=" not in path.read_text()
    assert "There is no session nobody" in athanor("report", "nobody", "-o", path).sentence
    assert "There is no session" in athanor("report", uuid4(), "-o", path).sentence
    unwritable = tmp_path / "no" / "such" / "folder.html"
    assert "cannot be written" in athanor("report", "-o", unwritable).sentence


def test_the_report_shows_plots_and_trails_without_a_network(report: Path, page: Page) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda one: requests.append(one.url))

    page.goto(report.as_uri())

    expect(page.get_by_role("heading", name="Session trial")).to_be_visible()
    for plot in ("atlas", "square", "exposures"):
        expect(page.locator(f"#{plot} .main-svg").first).to_be_visible()
    expect(page.get_by_text("No weights yet")).to_be_visible()
    line = page.locator("tr[data-id]", has_text="foilHoleSelection").first
    line.click()
    expect(page.get_by_text("It rests on 3 predictions")).to_be_visible()
    page.locator("#filter").fill("gridSquareSelection")
    expect(line).to_be_hidden()
    page.locator("#square-chosen").select_option(label="square 2")
    expect(page.locator("#square").get_by_text("Square 2")).to_be_visible()
    assert complaints == []
    assert requests == [report.as_uri()]
