"""What is old goes, and nothing else; what is foreseen is what is done."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlmodel import Session, SQLModel, col

from core.clock import utcnow
from domains.retention import DEVELOPMENT, SCIENTIFIC, Age, Operation, PolicyName, named
from models.audit import AuditEntry
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentSession,
    Instruction,
    InstructionAck,
)
from models.database import Database
from models.inbox import InboxMessage
from models.registry import all_tables
from models.retention import holds
from models.retention.rules import RULES, STAYING
from models.retention.subtree import ACQUISITION, AGENTS, BRANCHES, DRAINS, ROOT
from models.sql import table_of
from tasks.retaining import retain
from tasks.retention import Retention
from tests.integration.retention.conftest import YEAR, another, grids
from tests.integration.retention.conftest import agent_session as agent_session_of
from tests.integration.retention.test_kills import long_ago
from tests.session_fixtures import Here, SmallSession

#: What the other tests show on both.
ON_ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SMALL = named(PolicyName.CUSTOM, batch=2)


def counts(session: Session) -> dict[str, int]:
    found = {
        table_of(model).name: session.scalar(select(func.count()).select_from(model)) or 0
        for model in all_tables()
    }
    return {table: rows for table, rows in found.items() if rows}


def test_every_table_is_deleted_from_or_does_not_grow() -> None:
    all_tables()
    aged = {table_of(rule.table).name for rule in RULES}
    whole = {one.name for one in (*BRANCHES, *AGENTS, DRAINS, ROOT, ACQUISITION)}
    assert aged | whole | set(STAYING) == set(SQLModel.metadata.tables)
    assert set(STAYING).isdisjoint(aged | whole)


async def test_what_is_foreseen_is_what_is_deleted(here: Here, lived: UUID) -> None:
    database = here.resources.database
    now = utcnow() + 2 * YEAR + timedelta(days=1)
    before = await database.read(counts)
    retention = Retention(database, SMALL)

    foreseen = await retention.foresee(Operation.CLEANUP, now=now)
    assert await database.read(counts) == before
    done = await retention.run(Operation.CLEANUP, now=now)

    assert foreseen.model_dump(exclude={"dry_run"}) == done.model_dump(exclude={"dry_run"})
    (removed,) = done.sessions
    assert (removed.grid_uuid, removed.name) == (lived, "trial")
    after = await database.read(counts)
    assert after.pop("session_removal") == 1
    assert after.pop("access_user") == 1
    after = {table: rows for table, rows in after.items() if table not in STAYING}
    # The audit keeps what was acknowledged; of tables that count, the newest row stays.
    assert after == {
        "instruction": 1,
        "instruction_ack": 1,
        "agent_session": 1,
        "inbox_message": 1,
        "live_event": 1,
        "audit_entry": 2,
    }
    again = await retention.run(Operation.CLEANUP, now=now)
    assert (again.tables, again.sessions) == ({}, [])


async def test_the_audit_keeps_acknowledged_instructions_without_their_payload(
    here: Here, lived: UUID
) -> None:
    database = here.resources.database
    now = utcnow()
    await database.write(agent_session_of, "loose", now, None)
    retention = Retention(database, SCIENTIFIC)
    await retention.run(Operation.CLEANUP, now=now + 2 * YEAR + timedelta(days=1))

    with database.reading() as session:
        told = session.scalars(select(Instruction)).all()
        assert {one.payload["archived"] for one in told} == {True}
        assert [(one.evidence, one.status, one.reason) for one in told] == [
            ([], "processed", None)
        ] * 2
        assert [one.result for one in session.scalars(select(InstructionAck))] == ["reordered"] * 2
        agent = session.get(AgentSession, f"titan-{lived}")
        assert agent
        assert agent.grid_uuid is None
        assert agent.experimental_parameters
        assert agent.experimental_parameters["grid_uuid"] == str(lived)

    late = now + 7 * YEAR + timedelta(days=1)
    for _ in range(3):  # acknowledgements, then their instructions, then the agents' sessions
        await retention.run(Operation.CLEANUP, now=late)
    with database.reading() as session:
        left = counts(session)
    assert {"instruction", "instruction_ack", "agent_session", "agent_connection"}.isdisjoint(left)


@ON_ONE
async def test_what_is_asked_for_alone_leaves_the_rest(database: Database) -> None:
    now = utcnow()
    with database.transaction() as session:
        agent_session_of(session, "loose", now, None)
    retention = Retention(database, DEVELOPMENT)

    early = await retention.run(Operation.CONNECTIONS, now=now + timedelta(hours=3))
    assert early.tables == {}
    closed = await retention.run(Operation.CONNECTIONS, now=now + timedelta(hours=5))
    assert closed.tables == {"agent_connection": 1}
    with database.reading() as session:
        (stream,) = session.scalars(select(AgentConnection))
        assert stream.status == "closed"
        assert stream.close_reason == "silent for more than 4:00:00"
    gone = await retention.run(Operation.INSTRUCTIONS, now=now + timedelta(days=8))
    assert [(one.what, one.rows) for one in gone.aged] == [
        ("payloads archived", 1),
        ("instructions without acknowledgement", 1),
    ]
    assert (await retention.run(Operation.SESSIONS, now=now + 8 * YEAR)).tables == {}


async def test_a_held_session_is_skipped_and_said_to_be(here: Here, lived: UUID) -> None:
    database = here.resources.database
    now = utcnow() + 3 * YEAR
    other = await another(here, "other")
    await database.write(holds.hold, lived, reason="inquiry", by="ana", now=now)

    def of_lived(session: Session) -> dict[str, int]:
        return {
            one.name: session.scalar(
                select(func.count()).select_from(one.table).where(one.belongs(lived))
            )
            or 0
            for one in (*BRANCHES, *AGENTS[:3])
        }

    before = await database.read(of_lived)
    assert all(before.values()), before
    done = await Retention(database, SCIENTIFIC).run(Operation.CLEANUP, now=now)

    assert ([one.grid_uuid for one in done.sessions], done.held) == ([other], 1)
    assert await database.read(of_lived) == before
    await database.write(holds.release, lived)
    done = await Retention(database, SCIENTIFIC).run(Operation.SESSIONS, now=now)
    assert [one.grid_uuid for one in done.sessions] == [lived]


async def test_a_removal_that_was_cut_off_goes_on(here: Here, lived: UUID) -> None:
    database = here.resources.database
    now = utcnow() + 3 * YEAR

    class Killed(BaseException):
        pass

    for cut_off in (1, 6, 30):
        steps = iter(range(cut_off))

        def progress(_what: str, _rows: int, steps: object = steps) -> None:
            if next(steps, None) is None:  # pyright: ignore[reportArgumentType, reportCallIssue]
                raise Killed

        with pytest.raises(Killed):
            await Retention(database, SMALL, progress=progress).run(Operation.SESSIONS, now=now)
        assert await database.read(grids) == {lived}
        with pytest.raises(Exception, match="being deleted already"):
            await database.write(holds.hold, lived, reason="late", by="ana", now=now)
    done = await Retention(database, SMALL).run(Operation.SESSIONS, now=utcnow())

    assert [one.grid_uuid for one in done.sessions] == [lived]
    assert await database.read(grids) == set()


async def test_a_session_that_goes_on_keeps_its_messages(here: Here, lived: UUID) -> None:
    database = here.resources.database
    young = named(PolicyName.CUSTOM, ages={Age.MESSAGES: timedelta(seconds=60)})
    soon = utcnow() + timedelta(seconds=50)
    late = soon + timedelta(hours=1)

    def messages(session: Session) -> int:
        of_lived = col(InboxMessage.key) == str(lived)
        statement = select(func.count()).select_from(InboxMessage).where(of_lived)
        return session.scalar(statement) or 0

    before = await database.read(messages)
    await Retention(database, young).run(Operation.CLEANUP, now=soon)
    assert await database.read(messages) == before
    await Retention(database, young).run(Operation.CLEANUP, now=late)
    # The newest stays: SQLite would give its number away again.
    assert await database.read(messages) == 1
    await here.send(SmallSession(name="next").session())
    with database.reading() as session:
        numbers = session.scalars(select(col(InboxMessage.seq))).all()
    assert max(n for n in numbers if n) > before


@ON_ONE
async def test_ages_are_counted_to_the_moment(here: Here, lived: UUID) -> None:
    database = here.resources.database
    retention = Retention(database, SCIENTIFIC)
    (removed,) = (
        await retention.foresee(Operation.SESSIONS, now=utcnow() + 2 * YEAR + timedelta(days=1))
    ).sessions
    edge = removed.over_since + 2 * YEAR
    assert (await retention.foresee(Operation.SESSIONS, now=edge)).sessions == []
    later = await retention.foresee(Operation.SESSIONS, now=edge + timedelta(microseconds=1))
    assert later.sessions == [removed]


@ON_ONE
async def test_the_audit_tells_what_the_nightly_run_deleted(here: Here, lived: UUID) -> None:
    database = here.resources.database
    await database.write(long_ago)
    done = await retain.fn()
    with database.reading() as session:
        told = session.scalars(select(AuditEntry).where(col(AuditEntry.route) == "retention")).all()
    assert {(one.caller, one.caller_kind, one.method) for one in told} == {
        ("athanor", "system", "prefect")
    }
    of = {one.entity: one for one in told}
    (removed,) = done.sessions
    assert of["session_removal"].entity_id == of["grid"].entity_id == str(lived)
    assert of["grid"].before == {"name": "trial", "archive": None, "rows": removed.rows}
    assert of["retention"].before == done.tables
    assert of["retention"].entity_id == "cleanup scientific"
