"""Kill -9 of the real commands in the middle of their work: done again, they finish it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlmodel import Session, col

from core.clock import utcnow
from core.errors import RestoreConflict, SessionLeaving
from domains.retention import SCIENTIFIC, Operation
from models.cryoem.decision_tables import AthenaSession
from models.cryoem.instructions.tables import AgentLog, AgentSession
from models.cryoem.tables import Acquisition, Grid
from models.database import Database
from models.registry import all_tables
from models.retention import holds
from models.retention.tables import SessionRemoval, SessionRestore
from models.sql import insert_all, table_of
from tasks.cryoem.exporting import export_session
from tasks.cryoem.importing import import_session
from tasks.retention import Retention
from tests.acceptance.processes import Process
from tests.integration.retention.conftest import YEAR, grids
from tests.integration.retention.test_archives import LIMIT, forged
from tests.session_fixtures import Here
from tests.support import wait_for

#: One line a transaction, and 2,000 a transaction.
FEW, MANY = 4_000, 20_000


def talkative(session: Session, grid: UUID, lines: int) -> None:
    """Have the session's agent say so much that neither command is done at once."""
    agent = session.scalars(select(AgentSession).where(col(AgentSession.grid_uuid) == grid)).one()
    line = {"session_id": agent.session_id, "agent_id": agent.agent_id, "level": "INFO"}
    line |= {"timestamp": utcnow(), "logger_name": "agent", "created_at": utcnow()}
    insert_all(session, AgentLog, [{**line, "message": f"line {n}"} for n in range(lines)])


def long_ago(session: Session) -> None:
    """Have all sessions be over for years."""
    then = utcnow() - 3 * YEAR
    session.execute(update(Acquisition).values(started_at=then, ended_at=then))
    session.execute(update(Grid).values(last_news_at=then))
    session.execute(update(AthenaSession).values(run_stopped_at=then))


def counts(session: Session) -> dict[str, int]:
    found = {
        table_of(model).name: session.scalar(select(func.count()).select_from(model)) or 0
        for model in all_tables()
    }
    return {table: rows for table, rows in found.items() if rows}


def killed(
    *arguments: str,
    database: Database,
    environment: Mapping[str, str],
    log: Path,
    when: Callable[[], bool],
) -> None:
    """Start a command, and kill it when a condition is met."""
    process = Process(*arguments, environment=environment, log=log)
    try:

        def met() -> bool:
            assert not process.has_ended, process.output()
            return when()

        wait_for(met, what="the middle of its work")
    finally:
        process.kill()
    if not database.is_sqlite:
        # The server works on what it was told last until it finds that nobody listens.
        wait_for(lambda: database_is_idle(database), what="the end of the last statement")


def database_is_idle(database: Database) -> bool:
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    with database.reading() as session:
        return session.scalar(others) == 0


@pytest.fixture
def environment(database: Database, tmp_path: Path) -> dict[str, str]:
    """The environment of commands on this test's database."""
    return {
        "ATHANOR_HOME": str(tmp_path / "home"),
        "ATHANOR_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "PREFECT_API_URL": "",
    }


async def test_retention_that_was_killed_is_finished_with_true_counts(
    here: Here, lived: UUID, environment: dict[str, str], tmp_path: Path
) -> None:
    database = here.resources.database
    await database.write(talkative, lived, FEW)
    await database.write(long_ago)
    before = await database.read(counts)

    def number_of(table: type) -> int:
        with database.reading() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    one_by_one = {"ATHANOR_RETENTION__POLICY": "custom", "ATHANOR_RETENTION__BATCH_SIZE": "1"}
    killed(
        *("retention", "run", "--operation", "sessions", "--yes"),
        database=database,
        environment={**environment, **one_by_one},
        log=tmp_path / "killed.log",
        when=lambda: number_of(AgentLog) < before["agent_log"],
    )

    left = await database.read(counts)
    assert 0 < left["agent_log"] < before["agent_log"]
    with database.reading() as session:
        removal = session.get(SessionRemoval, lived)
        assert removal
        assert removal.ended_at is None
    with pytest.raises(SessionLeaving):
        await database.write(holds.hold, lived, reason="late", by="ana", now=utcnow())
    again = Retention(database, SCIENTIFIC)
    would = (await again.foresee(Operation.SESSIONS)).tables
    done = await again.run(Operation.SESSIONS)

    after = await database.read(counts)
    assert [one.grid_uuid for one in done.sessions] == [lived]
    assert done.tables == would
    gone = {table: left[table] - after.get(table, 0) for table in left}
    # The agent's session stays for the audit: it is changed, and counts as that.
    assert {**would, "agent_session": would["agent_session"] - 1} == {
        table: rows for table, rows in {**gone, "agent_session": 0}.items() if table in would
    }
    assert set(would) == {table for table, rows in gone.items() if rows} | {"agent_session"}
    assert await database.read(grids) == set()
    assert (await again.run(Operation.SESSIONS)).tables == {}


async def test_an_import_that_was_killed_goes_on_where_it_was(
    here: Here, lived: UUID, environment: dict[str, str], tmp_path: Path
) -> None:
    database = here.resources.database
    await database.write(talkative, lived, MANY)
    path = tmp_path / "session.tar.zst"
    exported = await export_session(database, lived, path)
    await Retention(database, SCIENTIFIC).run(Operation.CLEANUP, now=utcnow() + 3 * YEAR)

    def restore() -> SessionRestore | None:
        with database.reading() as session:
            return session.get(SessionRestore, lived)

    def begun() -> bool:
        found = restore()
        return found is not None and found.member > 0

    killed(
        *("import", str(path)),
        database=database,
        environment=environment,
        log=tmp_path / "killed.log",
        when=begun,
    )

    found = restore()
    assert found
    assert found.ended_at is None, "it was killed too late"
    other = forged(path, "acquisition", lambda rows: rows[0].update(name="forged"))
    with pytest.raises(RestoreConflict, match="from another archive: import that to its end"):
        await import_session(database, other, limit=LIMIT)
    back = await import_session(database, path, limit=LIMIT)
    assert back.digest == exported.digest
    again = await export_session(database, lived, tmp_path / "again.tar.zst")
    assert again.digest == exported.digest
    found = restore()
    assert found
    assert found.ended_at is not None
    assert (await import_session(database, path, limit=LIMIT)).new == {}
