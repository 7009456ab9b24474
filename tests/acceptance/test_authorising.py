"""A newcomer signs in on the API's own page, and asks it something."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Page, expect

from models import migrations
from models.database import Database
from tests.acceptance.commands import athanor
from tests.acceptance.processes import Facility, facility


@pytest.fixture(scope="module")
def plant(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    folder = tmp_path_factory.mktemp("authorising")
    with facility(folder, ATHANOR_ACCESS__MODE="required") as made:
        with closing(Database(f"sqlite:///{made.home / 'athanor.db'}")) as database:
            migrations.upgrade(database)
        made.start("api").says("The API is at")
        yield made


@pytest.fixture
def password(plant: Facility) -> str:
    """The password of the viewer `ada`."""
    add = ("users", "add", "ada", "--role", "viewer", "--all-organisations", "--generate")
    return athanor(*add, environment=plant.environment).output.strip()


def test_the_authorise_button_of_the_documentation_signs_in(
    plant: Facility, page: Page, password: str
) -> None:
    page.goto(f"{plant.api_url}/docs")
    asking = page.locator(".opblock", has=page.locator("[data-path='/grids']")).first
    asking.get_by_role("button").first.click()
    asking.get_by_role("button", name="Try it out").click()
    asking.get_by_role("button", name="Execute").click()
    answered = asking.locator(".live-responses-table .response-col_status")
    expect(answered.last).to_contain_text("401")

    page.get_by_role("button", name="Authorize").first.click()
    page.locator("#oauth_username").first.fill("ada")
    page.locator("#oauth_password").first.fill(password)
    page.get_by_role("button", name="Apply given OAuth2 credentials").first.click()
    expect(page.get_by_role("button", name="Remove authorization").first).to_be_visible()
    page.get_by_role("button", name="Close").first.click()

    asking.get_by_role("button", name="Execute").click()
    expect(answered.last).to_contain_text("200")
    expect(asking.locator(".live-responses-table .microlight").first).to_contain_text("[]")
