"""An agent's receiving side against the real API: each instruction acted on once, and told so."""

import asyncio
import json
import logging
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from agent.instructions.journal import Journal
from agent.instructions.received import Instruction
from core.errors import AthanorError
from domains.cryoem.instructions import Priority
from models.cryoem.instructions import tables
from models.database import Database
from tasks.cryoem import instructing
from tests.conftest import ROOT
from tests.integration.agent.hands import AGENT, Hand, receiving
from tests.integration.agent.instructed import Plant, planted
from tests.integration.models.factories import plant as plant_grid
from tests.support import PATIENCE, wait_until


@pytest.fixture
async def plant(sqlite_url: str) -> AsyncIterator[Plant]:
    database = Database(sqlite_url)
    async with planted(database) as made:
        yield made
    database.close()


async def test_instructions_are_received_acted_on_in_turn_and_answered(
    plant: Plant, tmp_path: Path
) -> None:
    session = await plant.session()
    low, urgent = await plant.make(
        session, {"priority": Priority.LOW}, {"priority": Priority.URGENT}
    )
    hand = Hand()
    async with receiving(plant.url, tmp_path, hand):
        await plant.until("processed", low, urgent)
        (later,) = await plant.make(session)
        await plant.until("processed", later)

    assert hand.asked == [(urgent, False), (low, False), (later, False)]
    received, processed = await plant.acks(later)
    assert (received.status, processed.status) == ("received", "processed")
    assert processed.result == "did it"
    assert processed.processing_time_ms is not None
    assert processed.processed_at is not None


async def test_what_no_driver_can_do_is_declined_and_what_fails_has_failed(
    plant: Plant, tmp_path: Path
) -> None:
    session = await plant.session()
    declined = await plant.make(
        session,
        {"type": "microscope.control.move_stage", "payload": {"stage_position": {"x": 1}}},
        {"type": "microscope.control.take_image", "payload": {"image_params": {}}},
        {"type": "agent.info.everything", "payload": {}},
        {"type": "microscope.control.skip_gridsquares", "payload": {}},
        {"type": "agent.config.update", "payload": {"config": {"vacuum": "off"}}},
    )
    failed = await plant.make(session)
    hand = Hand(error=AthanorError("the vacuum is gone"))
    async with receiving(plant.url, tmp_path, hand):
        await plant.until("declined", *declined)
        await plant.until("failed", *failed)
        hand.error = RuntimeError("a bug")
        broken = await plant.make(session)
        await plant.until("failed", *broken)

    moved = (await plant.acks(declined[0]))[-1]
    assert "only through the decisions" in str(moved.error_message)
    assert moved.result is None
    assert (await plant.acks(failed[0]))[-1].error_message == "the vacuum is gone"
    assert "a bug" in str((await plant.acks(broken[0]))[-1].error_message)
    assert "heartbeat_seconds, log_level" in str((await plant.acks(declined[4]))[-1].error_message)


async def test_what_is_asked_of_the_agent_itself_is_answered_from_its_state(
    plant: Plant, tmp_path: Path
) -> None:
    session = await plant.session()
    asked = await plant.make(
        session,
        {"type": "agent.config.update", "payload": {"log_level": "ERROR"}},
        {"type": "agent.status.request", "payload": {}},
        {"type": "agent.info.orphans", "payload": {}},
    )
    async with receiving(plant.url, tmp_path, Hand()):
        await plant.until("processed", *asked)

    _, status, orphans = [json.loads((await plant.acks(one))[-1].result or "") for one in asked]
    assert status["folder"] == "/x"
    assert status["config"]["log_level"] == "ERROR"
    assert list(orphans) == ["waiting_files"]
    assert (orphans["waiting_files"]["number"], len(orphans["waiting_files"]["first"])) == (50, 20)


async def test_an_agent_follows_its_own_sessions_about_what_it_watches_and_no_others(
    plant: Plant, tmp_path: Path
) -> None:
    site = plant_grid(plant.services.database, [range(100, 103)])
    mine, elsewhere = await plant.session(), await plant.session(grid=site.grid)
    others = await plant.session("epu-agent-2")
    made = {of: (await plant.make(of))[0] for of in (mine, elsewhere, others)}
    one, two = Hand(), Hand()
    async with (
        receiving(plant.url, tmp_path, one, grids=lambda: [uuid4()]),
        receiving(plant.url, tmp_path, two, agent="epu-agent-2"),
    ):
        await plant.until("processed", made[mine], made[others])
        (last,) = await plant.make(mine)
        await plant.until("processed", last)

    assert one.asked == [(made[mine], False), (last, False)]
    assert two.asked == [(made[others], False)]
    assert await plant.fate(made[elsewhere]) == ["pending"]


async def test_what_was_acted_on_before_a_crash_is_told_and_not_done_again(
    plant: Plant, tmp_path: Path
) -> None:
    session = await plant.session()
    (done,) = await plant.make(session)
    hand = Hand()
    async with receiving(plant.url, tmp_path, hand):
        await plant.until("processed", done)
        hand.may_go_on.clear()
        (begun,) = await plant.make(session)

        async def at_work() -> bool:
            return len(hand.asked) > 1

        await wait_until(at_work)
    # As if it had been killed after it noted the first outcome, and before it told that.
    with Journal.open(tmp_path / f"{AGENT}.db") as journal:
        (note,) = [one for one in journal.latest(9) if one.instruction.instruction_id == done]
        assert note.ended is not None
        journal.end(note.instruction, note.ended)
        assert [str(one.stage) for one in journal.open_notes(session)] == ["ended", "begun"]
    hand.may_go_on.set()

    async def nothing_is_open() -> bool:
        with Journal.open(tmp_path / f"{AGENT}.db") as journal:
            return not journal.open_notes(session)

    async with receiving(plant.url, tmp_path, hand):
        await plant.until("processed", done, begun)
        # The agent notes that it told the outcome after the server has heard it.
        await wait_until(nothing_is_open, what="a note that both outcomes are told")

    assert hand.asked == [(done, False), (begun, False), (begun, True)]


async def test_an_agent_killed_while_it_acts_is_asked_again_and_knows_it(
    plant: Plant, tmp_path: Path
) -> None:
    session = await plant.session()
    (ident,) = await plant.make(session)
    command = [sys.executable, "-m", "tests.integration.agent.dying", plant.url, str(tmp_path)]
    died = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, timeout=PATIENCE, check=False)
    assert died.returncode == -signal.SIGKILL
    assert await plant.fate(ident) == ["received"]
    hand = Hand()

    async with receiving(plant.url, tmp_path, hand):
        await plant.until("processed", ident)

    assert hand.asked == [(ident, True)]


async def test_an_instruction_called_off_before_it_was_received_is_not_acted_on(
    plant: Plant, tmp_path: Path
) -> None:
    session = await plant.session()
    (ident,) = await plant.make(session)
    body = {
        "instruction_id": ident,
        "agent_id": AGENT,
        "session_id": session,
        "instruction_type": "microscope.control.skip_gridsquares",
        "payload": {"gridsquare_ids": ["7"]},
    }
    # The agent had it when the API went away, and came back to it called off.
    with Journal.open(tmp_path / f"{AGENT}.db") as journal:
        journal.note(Instruction.model_validate(body))
    await instructing.cancel(plant.services, (await plant.rows(tables.Instruction))[0].id, by="ada")
    hand = Hand()
    async with receiving(plant.url, tmp_path, hand):
        (after,) = await plant.make(session)
        await plant.until("processed", after)

    assert hand.asked == [(after, False)]
    with Journal.open(tmp_path / f"{AGENT}.db") as journal:
        (note,) = [one for one in journal.latest(9) if one.instruction.instruction_id == ident]
    assert "409" in str(note.refused)


async def test_an_api_that_was_away_is_found_again_and_what_ended_meanwhile_is_told(
    plant: Plant, tmp_path: Path
) -> None:
    session = await plant.session()
    (first,) = await plant.make(session)
    hand = Hand()
    hand.may_go_on.clear()
    async with receiving(plant.url, tmp_path, hand) as receiver:
        await plant.until("received", first)
        port = plant.url
        await plant.server.stop()
        hand.may_go_on.set()

        async def noticed() -> bool:
            return receiver.status()["sessions"].get(session) is not None

        await wait_until(noticed, what="trouble in the agent's status")
        await plant.restart()
        (second,) = await plant.make(session)
        await plant.until("processed", first, second)

        assert plant.url == port
        assert receiver.status()["instructions"] == {"processed": 2}
    assert hand.asked == [(first, False), (second, False)]


async def test_a_session_that_ends_is_left(plant: Plant, tmp_path: Path) -> None:
    session = await plant.session()
    async with receiving(plant.url, tmp_path, Hand()) as receiver:
        await plant.connected(session)
        await instructing.end_session(plant.services, session)

        async def left() -> bool:
            return receiver.status()["sessions"] == {}

        await wait_until(left, what="the agent to leave the session")


async def test_what_the_agent_logs_reaches_the_api_in_parts(plant: Plant, tmp_path: Path) -> None:
    session = await plant.session()
    logger = logging.getLogger("agent.epu.watch")
    async with receiving(plant.url, tmp_path, Hand()):
        await plant.connected(session)
        for number in range(1_200):
            logger.warning("line %d", number)
        logger.info("not of interest")

        async def all_there() -> bool:
            return len(await plant.rows(tables.AgentLog)) >= 1_200

        await wait_until(all_there, what="log lines")

    lines = [one for one in await plant.rows(tables.AgentLog) if one.message.startswith("line")]
    assert [one.message for one in sorted(lines, key=lambda one: one.id)] == [
        f"line {number}" for number in range(1_200)
    ]
    assert {(one.level, one.logger_name) for one in lines} == {("WARNING", "agent.epu.watch")}
