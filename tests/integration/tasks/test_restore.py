"""A backup of the database, taken while work went on, restored after everything was lost."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlmodel import func, select

from blocks.resources import opened_doorbell, provide
from models.base import DeliveryState
from models.cryoem.decision_tables import Decision, Prediction
from models.cryoem.messages import Message, SquarePrediction
from models.cryoem.tables import Square
from models.database import Database
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from tasks.cryoem.entities import drain_entities
from tasks.cryoem.predictions import drain_predictions
from tasks.cryoem.sessions import open_session
from tasks.cryoem.submission import drain_decisions
from tests.conftest import ROOT
from tests.database_fixtures import PostgresDatabases
from tests.session_fixtures import Here, SmallSession, surroundings
from tests.session_fixtures import test_settings as settings_of_tests
from tests.support import PATIENCE

SQUARES = 12

#: Said to a restored database before anything is started: what it has as unsent may be sent.
ASK_BEFORE_SENDING = (
    "UPDATE outbox_message SET attempts = 1 WHERE state IN ('pending', 'claimed') AND attempts = 0"
)

#: Makes a copy of the database; what it returns makes a database of the copy and gives its URL.
Backup = Callable[[], Callable[[], str]]


def sqlite_backup(url: str, folder: Path) -> Callable[[], str]:
    """Copy an SQLite file in use, as docs/facility.md says."""
    source, copy = Path(make_url(url).database or ""), folder / "copy.db"
    if shutil.which("sqlite3"):
        subprocess.run(["sqlite3", source, f".backup {copy}"], check=True, timeout=PATIENCE)
    else:
        with sqlite3.connect(source) as there, sqlite3.connect(copy) as here:
            there.backup(here)

    def restore() -> str:
        for path in source.parent.glob(f"{source.name}*"):
            path.unlink()
        copy.rename(source)
        return url

    return restore


def postgres_backup(url: str, folder: Path, databases: PostgresDatabases) -> Callable[[], str]:
    """Dump a PostgreSQL database in use, as docs/facility.md says."""
    dump = folder / "athanor.dump"
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    subprocess.run(
        ["pg_dump", "--format=custom", f"--file={dump}", f"--dbname={plain}"],
        check=True,
        timeout=PATIENCE,
    )

    def restore() -> str:
        databases.drop(url)
        empty = databases.create(template="template0")
        target = make_url(empty).set(drivername="postgresql").render_as_string(hide_password=False)
        subprocess.run(
            ["pg_restore", "--exit-on-error", "--no-owner", f"--dbname={target}", dump],
            check=True,
            timeout=PATIENCE,
        )
        return empty

    return restore


@pytest.fixture
def backup(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Backup:
    if database_url.startswith("sqlite"):
        return lambda: sqlite_backup(database_url, tmp_path)
    if not shutil.which("pg_dump"):
        pytest.skip("needs pg_dump and pg_restore (Debian's postgresql-client)")
    databases: PostgresDatabases = request.getfixturevalue("postgres_databases")
    return lambda: postgres_backup(database_url, tmp_path, databases)


async def make_ready(here: Here, session: SmallSession) -> None:
    await here.send(*session.all())
    await drain_entities.fn(session.grid)
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)


async def work(session: SmallSession) -> None:
    await drain_entities.fn(session.grid)
    await drain_predictions.fn(session.grid)
    await drain_decisions.fn(session.grid)


def predictions(session: SmallSession, squares: list[int]) -> list[Message]:
    return [
        SquarePrediction(
            grid_uuid=session.grid,
            gridsquare_id=square,
            prediction_model_name="squares-net",
            prediction_value=square / 20,
            message_id=f"{session.grid}/{square}/prediction",
        )
        for square in squares
    ]


async def test_work_goes_on_from_a_backup_and_nothing_is_doubled(
    database: Database, backup: Backup
) -> None:
    session = SmallSession(squares=SQUARES, holes=1, name="restored")
    before = predictions(session, session.squares[::2])
    after = predictions(session, session.squares[1::2])
    async with surroundings(database, settings_of_tests()) as here:
        await make_ready(here, session)
        await here.send(*before)
        await drain_predictions.fn(session.grid)
        restore = backup()  # with decisions that are made and not sent
        await drain_decisions.fn(session.grid)
        client = here.client
        sent = sorted(one.id for one in await client.find_decisions(session.grid))
        assert len(sent) == SQUARES / 2
        await here.send(*after)
        await drain_predictions.fn(session.grid)
        database.close()
        restored = Database(restore())
        try:
            with restored.transaction() as db:
                db.execute(text(ASK_BEFORE_SENDING))
            async with opened_doorbell(restored) as doorbell:
                resources = replace(here.resources, database=restored, doorbell=doorbell)
                again = Here(resources, here.athena)
                with provide(resources):
                    # Senders repeat what they are not sure of, and more.
                    await again.send(*session.all(), *before, *after)
                    await work(session)
            found = sorted(one.id for one in await client.find_decisions(session.grid))
            assert len(found) == len(set(found)) == SQUARES, "each decision once"
            assert set(sent) < set(found)
            with restored.reading() as db:
                counts = {
                    table: db.exec(select(func.count()).select_from(table)).one()
                    for table in (Square, Prediction, Decision)
                }
                inbox = {row.state for row in db.exec(select(InboxMessage))}
                outbox = {row.state for row in db.exec(select(OutboxMessage))}
            assert counts == {Square: SQUARES, Prediction: SQUARES, Decision: SQUARES}
            assert inbox == outbox == {DeliveryState.DONE}
        finally:
            restored.close()


async def test_what_athena_was_told_after_the_backup_is_told_again_under_the_same_id(
    database: Database, backup: Backup
) -> None:
    session = SmallSession(squares=SQUARES, holes=1, name="told again")
    async with surroundings(database, settings_of_tests()) as here:
        await make_ready(here, session)
        restore = backup()
        await here.send(*predictions(session, session.squares))
        await work(session)
        told = {one.id: one for one in await here.client.find_decisions(session.grid)}
        assert len(told) == SQUARES
        database.close()
        restored = Database(restore())
        try:
            async with opened_doorbell(restored) as doorbell:
                resources = replace(here.resources, database=restored, doorbell=doorbell)
                with provide(resources):
                    await Here(resources, here.athena).send(*predictions(session, session.squares))
                    await work(session)
            again = await here.client.find_decisions(session.grid)
            assert {one.id for one in again} == set(told)
            for one in again:
                assert one.decision_value == told[one.id].decision_value
        finally:
            restored.close()


def test_the_document_has_the_statement_that_is_tested():
    assert ASK_BEFORE_SENDING in (ROOT / "docs" / "facility.md").read_text()
