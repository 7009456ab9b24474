"""The pages that a person opens, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.processes import Facility, facility
from tests.session_fixtures import SmallSession
from tests.support import wait_for


@pytest.fixture(scope="module")
def plant(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with facility(tmp_path_factory.mktemp("pages")) as made:
        made.start("simulate", "athena", "--port", str(made.athena_port), "--forget")
        made.up()
        yield made


def test_start_page_and_documentation_show_without_errors(
    plant: Facility, page: Page, complaints: list[str]
) -> None:
    page.goto(plant.api_url)
    expect(page.get_by_role("heading", name="Athanor")).to_be_visible()

    page.get_by_role("link", name="API documentation").click()

    expect(page.get_by_text("/messages", exact=False).first).to_be_visible()
    assert complaints == []


def test_prefect_shows_deployments_and_a_run_with_its_artifact(plant: Facility, page: Page) -> None:
    page.goto(f"{plant.prefect_url}/deployments")
    for name in ("register-areas", "refresh-scores", "session-lifecycle"):
        # There are more than fit on one page of the list.
        page.get_by_placeholder("Search deployments").fill(name)
        expect(page.get_by_text(name).first).to_be_visible()

    session = SmallSession(squares=2, holes=2, name="shown")
    plant.post([m.model_dump(mode="json", exclude_none=True) for m in session.all()])

    def completed() -> str | None:
        done = [one for one in plant.runs("register-areas") if one["state_type"] == "COMPLETED"]
        return done[0]["id"] if done else None

    run = wait_for(completed, what="a completed run")
    page.goto(f"{plant.prefect_url}/runs/flow-run/{run}")
    expect(page.get_by_text("Completed").first).to_be_visible()
    key = f"register-areas-{str(session.grid)[:8]}"
    page.goto(f"{plant.prefect_url}/artifacts/key/{key}")
    expect(page.get_by_text(key).first).to_be_visible()
    expect(page.get_by_text("register-areas Grid_shown").first).to_be_visible()
