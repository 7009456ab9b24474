"""Whatever a machine can think of: never a 5xx, and always an answer that our document knows.

And whoever does not say who they are is refused, whatever they think of. Each run of the tests
thinks of a request or two for every operation; `make fuzz` of many.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from schemathesis import GenerationMode

from core.access_settings import AccessSettings
from core.clock import utcnow
from core.instruction_settings import InstructionSettings
from core.limit_settings import LimitSettings
from core.permissions import Role
from core.settings import Settings
from models.access import machines, secrets
from models.database import Database
from tests.integration.api.fuzzing import Fuzz
from tests.integration.api.threaded import Running, running_in_thread
from tests.session_fixtures import test_settings as short_settings

MANY = 30
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE

#: What shows what nobody made here: a hold, and pictures.
NEEDS_MORE = {
    "GET /sessions/{grid_uuid}/hold",
    "GET /grids/{grid_uuid}/atlas_image",
    "GET /gridsquares/{gridsquare_uuid}/gridsquare_image",
}

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def asking_settings(home: Path) -> Settings:
    """Offer all routes, ask everybody who they are, and be patient with who does not know it."""
    return short_settings(
        instructions=InstructionSettings(debug_routes=True),
        home=home,
        access=AccessSettings(mode="required", failures_per_minute=10**6),
        limits=LimitSettings(
            requests_per_second=0, login_per_minute=10**6, refusals_per_minute=10**6
        ),
    )


@pytest.fixture
def running(database: Database) -> Iterator[Running]:
    """An API that asks nobody."""
    with running_in_thread(database) as found:
        yield found


@pytest.fixture
def guarded(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    """An API that asks everybody who they are."""
    # What is tried here is not how long guessing takes.
    monkeypatch.setattr(secrets, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64))
    with running_in_thread(database, asking_settings(tmp_path)) as found:
        yield found


@pytest.fixture
def key(database: Database) -> dict[str, str]:
    """What says that an administrator asks."""
    with database.transaction() as session:
        _, key = machines.add_key(session, "robot", Role.ADMIN, created_by="tests", now=utcnow())
    return {"Authorization": f"Bearer {key}"}


def test_any_request_gets_a_documented_answer_where_nobody_is_asked(running: Running) -> None:
    found = Fuzz(running.url, NEGATIVE, 1, careless=False).run()
    assert found.failures == []
    assert len(found.statuses) > 80


def test_any_request_is_refused_without_a_key_and_gets_a_documented_answer_with_one(
    guarded: Running, key: dict[str, str]
) -> None:
    found = Fuzz(guarded.url, POSITIVE, 2, key, careless=False).run()
    assert found.failures == []
    assert len(found.statuses) > 80


@pytest.mark.long
@pytest.mark.parametrize("mode", [POSITIVE, NEGATIVE])
def test_any_of_many_requests_is_refused_without_a_key_and_answered_with_one(
    guarded: Running, key: dict[str, str], mode: GenerationMode, report: list[str]
) -> None:
    found = Fuzz(guarded.url, mode, MANY, key).run()
    report.append(f"{mode.value} data: {found}")
    assert found.failures == []
    if mode == POSITIVE:
        missed = {name for name, statuses in found.statuses.items() if min(statuses) >= 300}
        assert {name for name in missed if name.startswith("GET")} <= NEEDS_MORE
