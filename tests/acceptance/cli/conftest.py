"""A database in which a session was played, and commands run on it."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from entrypoints.cli import run
from models.database import Database
from tasks.intake import accept
from tests.acceptance.commands import Ended
from tests.integration.api.played import hole_prediction, play
from tests.session_fixtures import SmallSession, surroundings
from tests.session_fixtures import test_settings as short_settings

GRID = SmallSession().grid

Athanor = Callable[..., Ended]


async def _fill(database: Database) -> None:
    async with surroundings(database, short_settings()) as here:
        await play(here, SmallSession())
        wrong = {"event_type": "foilhole.model_prediction", "prediction_value": 7}
        await accept(here.resources, [wrong, "nonsense"], source="mq", keep_rejected=True)
        unknown = hole_prediction(SmallSession(name="unknown"), 1, 0.5)
        lost = unknown.model_copy(update={"grid_uuid": None, "foilhole_uuid": UUID(int=1)})
        await here.send(lost, source="mq")


@pytest.fixture(scope="module")
def filled_home(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a session, two dead messages and one that waits."""
    home = tmp_path_factory.mktemp("filled")
    shutil.copy(sqlite_template, home / "athanor.db")
    with closing(Database(f"sqlite:///{home / 'athanor.db'}")) as database:
        asyncio.run(_fill(database))
    return home


@pytest.fixture
def home(filled_home: Path, tmp_path: Path) -> Path:
    """A home of this test's own."""
    return Path(shutil.copytree(filled_home, tmp_path / "home"))


@pytest.fixture
def athanor(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Athanor:
    """Run a command in this process, on this test's home."""
    monkeypatch.setenv("ATHANOR_HOME", str(home))
    monkeypatch.delenv("ATHANOR_DATABASE_URL", raising=False)

    def command(*arguments: object) -> Ended:
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return command
