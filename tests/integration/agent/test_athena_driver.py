"""The driver that believes only what it finds at Athena, against the simulated service."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

from agent.instructions.athena import AthenaDriver, NotAtAthena
from agent.instructions.received import Instruction, InstructionDeclined
from core.clock import utcnow
from domains.cryoem.instructions import Mode
from models.cryoem.instructions import sessions, tables
from models.cryoem.instructions.sessions import NewSession
from models.database import Database
from tasks.cryoem.entities import drain_entities
from tasks.cryoem.predictions import drain_predictions
from tasks.cryoem.sessions import open_session
from tasks.cryoem.submission import drain_decisions
from tests.session_fixtures import Here, SmallSession, surroundings
from tests.session_fixtures import test_settings as quick_settings

SKIP = "microscope.control.skip_gridsquares"


def instruction(metadata: Mapping[str, Any] | None, kind: str = SKIP) -> Instruction:
    return Instruction(
        instruction_id="1",
        agent_id="a",
        session_id="s",
        instruction_type=kind,
        payload={"gridsquare_ids": ["1"], "foilhole_ids": ["11"], "gridsquare_id": "1"},
        metadata=dict(metadata) if metadata else None,
    )


@pytest.fixture
async def here(sqlite_url: str) -> AsyncIterator[Here]:
    database = Database(sqlite_url)
    async with surroundings(database, quick_settings()) as made:
        yield made
    database.close()


async def decided(here: Here) -> dict[str, Instruction]:
    """Play a session up to its decisions; return what its agent is told, by type."""
    played = SmallSession(squares=9)
    await here.send(*played.all())
    await drain_entities.fn(played.grid)
    new = NewSession("epu-agent-1", grid=played.grid, mode=Mode.AUTO)
    await here.resources.database.write(sessions.open_session, new, now=utcnow())
    await here.send(*played.predictions())
    await drain_predictions.fn(played.grid)
    await open_session.fn(played.grid)
    await drain_entities.fn(played.grid)
    with here.resources.database.reading() as session:
        rows = session.scalars(select(tables.Instruction).order_by(col(tables.Instruction.id)))
        return {
            row.instruction_type: Instruction(
                instruction_id=str(row.id),
                agent_id=row.agent_id,
                session_id=row.session_id,
                instruction_type=row.instruction_type,
                payload=row.payload,
                metadata=row.extra,
            )
            for row in rows
        }


async def test_what_follows_from_decisions_is_confirmed_once_athena_has_them(here: Here) -> None:
    told = await decided(here)
    grid = SmallSession(squares=9).grid
    driver = AthenaDriver(here.athena.url, wait_seconds=20)

    waiting = asyncio.create_task(driver.act(told[SKIP], repeated=False))
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done, "Athena has none of them yet"
    await drain_decisions.fn(grid)
    said = await waiting
    forward = await driver.act(told["microscope.control.reorder_gridsquares"], repeated=True)
    await driver.aclose()

    assert said.startswith("Athena has 3 decisions of Grid_")
    assert said.endswith("skip 3 squares: 3, 2, 1")
    assert "collect 2 squares earlier: 9, 8" in forward


async def test_what_athena_lacks_or_says_otherwise_has_failed(here: Here) -> None:
    told = await decided(here)
    await drain_decisions.fn(SmallSession(squares=9).grid)
    driver = AthenaDriver(here.athena.url, wait_seconds=0.5)
    said = (told[SKIP].metadata or {})["athena"]
    others = {**said, "decisions": [{**said["decisions"][0], "value": "true"}]}
    unknown = {**said, "decisions": [{"id": "00000000-0000-5000-8000-000000000000"}]}
    nowhere = {**said, "session_names": ["Grid_nowhere"]}

    with pytest.raises(NotAtAthena, match="says 'false' at Athena"):
        await driver.act(instruction({"athena": others}), repeated=False)
    for missing in (unknown, nowhere):
        with pytest.raises(NotAtAthena, match="does not have all"):
            await driver.act(instruction({"athena": missing}), repeated=False)
    await driver.aclose()


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"athena": None}, {"athena": {"session_names": ["g"], "decisions": []}}],
    ids=["none", "nothing", "null", "no decisions"],
)
async def test_what_rests_on_no_decision_is_declined(metadata: dict[str, Any] | None) -> None:
    driver = AthenaDriver("http://127.0.0.1:9", wait_seconds=0.1)
    with pytest.raises(InstructionDeclined, match="rests on no decision"):
        await driver.act(instruction(metadata), repeated=False)
    with pytest.raises(InstructionDeclined, match="no driver"):
        await driver.act(instruction(metadata, "microscope.control.move_stage"), repeated=False)
    await driver.aclose()
