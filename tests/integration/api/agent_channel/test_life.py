"""The life of an instruction, on both databases: order, holds, resends, acknowledgements, ends."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from core.clock import utcnow
from core.errors import Conflict, NotFound
from domains.cryoem.instructions import Ack, Mode, Priority, Thresholds
from models.cryoem.instructions import making, sending
from models.cryoem.instructions.acking import Acknowledged, Said
from models.cryoem.instructions.sending import Patience
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentSession,
    Instruction,
    InstructionAck,
    LiveEvent,
)
from tasks.cryoem import agent_streams, instructing
from tests.integration.api.agent_channel.conftest import AGENT, Channel, new


async def ack(channel: Channel, one: Instruction, status: Ack, **values: Any) -> Acknowledged:
    return await channel.services.channel.acknowledge(
        agent_id=one.agent_id,
        session_id=one.session_id,
        instruction_id=one.id,
        said=Said(status, **values),
    )


async def test_numbers_count_up_per_session_however_many_make_some_at_once(
    channel: Channel,
) -> None:
    one, other = await channel.session(), await channel.session()
    made = await asyncio.gather(
        *(channel.make(of, 3) for _ in range(5) for of in (one, other)), return_exceptions=False
    )
    for of in (one, other):
        numbers = [
            i.sequence_number for some in made for i in some if i.session_id == of.session_id
        ]
        assert sorted(numbers) == list(range(1, 16))


async def test_an_instruction_of_a_known_id_is_made_once(channel: Channel) -> None:
    of, ident = await channel.session(), uuid4()
    (first,) = await channel.make(of, id=ident)
    assert await channel.make(of, id=ident) == []
    (second,) = await channel.make(of)
    assert (first.sequence_number, second.sequence_number) == (1, 2)


async def test_the_urgent_go_first_then_as_they_were_made(channel: Channel) -> None:
    of = await channel.session()
    for priority in (Priority.LOW, Priority.NORMAL, Priority.URGENT, Priority.HIGH, Priority.HIGH):
        await channel.make(of, priority=priority)
    await channel.connect(of, "s1")
    assert await channel.claim(of, "s1") == [3, 4, 5, 2, 1]


async def test_what_was_claimed_but_not_noted_as_sent_is_claimed_by_the_next_stream(
    channel: Channel,
) -> None:
    of = await channel.session()
    await channel.make(of, 2)
    await channel.connect(of, "killed")
    assert await channel.claim(of, "killed") == [1, 2]
    await channel.connect(of, "next")
    assert await channel.claim(of, "next", again=True) == [1, 2]
    with pytest.raises(Conflict, match="newer stream"):
        await channel.claim(of, "killed")


async def test_unacknowledged_ones_are_sent_again_a_few_times_and_on_each_reconnect(
    channel: Channel,
) -> None:
    of = await channel.session()
    (made,) = await channel.make(of)
    await channel.connect(of, "s1")
    database, waits = channel.services.database, []
    now = utcnow()
    for _ in range(4):
        (found,) = await database.write(
            sending.claim, [sending.Stream(of.session_id, "s1")], now=now
        )
        assert isinstance(found, sending.Claimed)
        assert [one.id for one in found.instructions] == [made.id]
        await database.write(
            sending.mark_sent, found.instructions, now=now, patience=Patience(10, 3)
        )
        (row,) = await channel.rows(Instruction)
        waits.append(row.next_send_at and (row.next_send_at - now).total_seconds())
        now = row.next_send_at or now
    assert waits == [10, 20, 40, None]
    assert row.sends == 4
    assert await channel.claim(of, "s1") == []
    await channel.connect(of, "s2")
    assert await channel.claim(of, "s2", again=True) == [1]
    await ack(channel, made, Ack.RECEIVED)
    assert await channel.claim(of, "s2", again=True) == []


async def test_one_step_and_two_are_equally_good_and_a_repeat_changes_nothing(
    channel: Channel,
) -> None:
    of = await channel.session()
    await channel.make(of, 2)
    await channel.connect(of, "s1")
    one, two = await channel.deliver(of, "s1")
    await ack(channel, one, Ack.RECEIVED)
    first = await ack(channel, one, Ack.PROCESSED, result="done")
    again = await ack(channel, one, Ack.PROCESSED, result="done, again")
    assert (again.repeated, again.ack.id) == (True, first.ack.id)
    assert (await ack(channel, one, Ack.RECEIVED)).repeated
    await ack(channel, two, Ack.FAILED, error_message="stage limit")
    rows = {row.sequence_number: row for row in await channel.rows(Instruction)}
    assert (rows[1].status, rows[2].status) == ("processed", "failed")
    assert rows[1].received_at <= rows[1].finished_at
    assert rows[2].received_at is None
    assert len(await channel.rows(InstructionAck)) == 3


async def test_contradictions_are_refused_and_kept(channel: Channel) -> None:
    of = await channel.session()
    (made,) = await channel.make(of)
    with pytest.raises(Conflict, match="is pending"):
        await ack(channel, made, Ack.DECLINED)
    await channel.connect(of, "s1")
    # Faster than our note that it was sent.
    await channel.claim(of, "s1")
    await ack(channel, made, Ack.PROCESSED)
    for late in (Ack.RECEIVED, Ack.FAILED):
        with pytest.raises(Conflict, match="is processed"):
            await ack(channel, made, late)
    acks = await channel.rows(InstructionAck)
    assert {(one.status, one.accepted) for one in acks} == {
        ("declined", False),
        ("processed", True),
        ("received", False),
        ("failed", False),
    }


async def test_only_its_own_agent_and_session_acknowledge_it(channel: Channel) -> None:
    mine, other = await channel.session(), await channel.session()
    (made,) = await channel.make(mine)
    for agent, session in (("another", mine.session_id), (AGENT, other.session_id)):
        with pytest.raises(NotFound):
            await channel.services.channel.acknowledge(
                agent_id=agent,
                session_id=session,
                instruction_id=made.id,
                said=Said(Ack.RECEIVED),
            )


async def test_semi_auto_waits_for_a_person_and_a_dry_run_is_never_sent(channel: Channel) -> None:
    semi, dry = await channel.session(Mode.SEMI_AUTO), await channel.session(Mode.DRY_RUN)
    good, bad = await channel.make(semi, 2)
    (recorded,) = await channel.make(dry)
    await channel.connect(semi, "s1")
    await channel.connect(dry, "s2")
    assert await channel.claim(semi, "s1") == []
    await instructing.approve(channel.services, good.id, by="ada")
    await instructing.reject(channel.services, bad.id, by="ada", reason="too thick")
    assert await channel.claim(semi, "s1") == [1]
    assert await channel.claim(dry, "s2") == []
    # Twice is as good as once; the other way round is not.
    await instructing.approve(channel.services, good.id, by="bob")
    await instructing.reject(channel.services, bad.id, by="bob")
    for late in (
        instructing.reject(channel.services, good.id, by="bob"),
        instructing.approve(channel.services, bad.id, by="bob"),
        instructing.approve(channel.services, recorded.id, by="bob"),
    ):
        with pytest.raises(Conflict, match="nobody waits"):
            await late
    rows = {row.id: row for row in await channel.rows(Instruction)}
    assert (rows[good.id].judged_by, rows[bad.id].ended_because) == ("ada", "rejected: too thick")
    assert (rows[bad.id].status, rows[recorded.id].held) == ("cancelled", "dry-run")


async def test_what_is_called_off_is_not_sent_again(channel: Channel) -> None:
    of = await channel.session()
    await channel.make(of, 3)
    await channel.connect(of, "s1")
    sent = await channel.deliver(of, "s1")
    await instructing.cancel(channel.services, sent[0].id, by="ada", reason="wrong square")
    await ack(channel, sent[1], Ack.RECEIVED)
    with pytest.raises(Conflict, match="is received and cannot"):
        await instructing.cancel(channel.services, sent[1].id, by="ada")
    assert await channel.claim(of, "s1", again=True) == [3]
    with pytest.raises(Conflict, match="is cancelled"):
        await ack(channel, sent[0], Ack.PROCESSED)


async def test_what_is_out_of_time_expires_and_a_received_one_later(channel: Channel) -> None:
    of = await channel.session()
    await channel.connect(of, "s1")
    await channel.make(of, 2, expires_in=-1)
    assert await channel.claim(of, "s1") == []
    (received, unsaid) = await channel.make(of, 2)
    await channel.deliver(of, "s1")
    await ack(channel, received, Ack.RECEIVED)
    assert [one.ended_because for one in await instructing.expire(channel.services)] == [
        "never sent",
        "never sent",
    ]
    later = utcnow() + timedelta(seconds=3_601)
    expired = await channel.services.database.write(making.expire, now=later, outcome_seconds=600)
    assert [(one.id, one.ended_because) for one in expired] == [
        (unsaid.id, "never acknowledged, sends: 1")
    ]
    later += timedelta(seconds=600)
    expired = await channel.services.database.write(making.expire, now=later, outcome_seconds=600)
    assert [one.id for one in expired] == [received.id]


async def test_an_agent_that_goes_is_reported_once_and_not_when_it_comes_back(
    channel: Channel,
) -> None:
    of = await channel.session()
    await channel.connect(of, "s1")
    await channel.connect(of, "s2")
    await agent_streams.close_stream(channel.services, connection_id="s1")
    assert channel.launcher.emitted == []
    await agent_streams.close_stream(channel.services, connection_id="s2")
    await channel.connect(of, "s3")
    late = utcnow() + timedelta(seconds=91)
    assert len(await instructing.report_offline(channel.services, now=late)) == 1
    assert await instructing.report_offline(channel.services, now=late) == []
    assert [event for event, _, _ in channel.launcher.emitted] == [instructing.OFFLINE] * 2
    streams = await channel.rows(AgentConnection)
    assert {one.connection_id: one.close_reason for one in streams} == {
        "s1": "superseded",
        "s2": "client_disconnect",
        "s3": "stale_connection",
    }
    events = [one.data["status"] for one in await channel.rows(LiveEvent)]
    assert events == ["online", "online", "offline", "online", "offline"]


async def test_a_session_that_ends_calls_off_what_was_not_received(channel: Channel) -> None:
    of = await channel.session()
    await channel.make(of, 2)
    await channel.connect(of, "s1")
    sent = await channel.deliver(of, "s1")
    await ack(channel, sent[0], Ack.RECEIVED)
    await instructing.end_session(channel.services, of.session_id)
    await instructing.end_session(channel.services, of.session_id)
    with pytest.raises(Conflict, match="has ended"):
        await channel.make(of)
    with pytest.raises(Conflict, match="has ended"):
        await channel.claim(of, "s1")
    # What it was at is told all the same.
    await ack(channel, sent[0], Ack.PROCESSED)
    states = {row.sequence_number: row.status for row in await channel.rows(Instruction)}
    assert states == {1: "processed", 2: "cancelled"}


async def test_a_session_is_changed_for_what_follows(channel: Channel) -> None:
    of = await channel.session(Mode.DRY_RUN)
    await channel.make(of)
    await instructing.change_session(
        channel.services, of.session_id, mode=Mode.AUTO, thresholds=Thresholds(0.9, 0.1, 0.7)
    )
    await channel.make(of)
    (row,) = await channel.rows(AgentSession)
    assert (row.square_forward, row.square_skip, row.hole_forward) == (0.9, 0.1, 0.7)
    held = {one.sequence_number: one.held for one in await channel.rows(Instruction)}
    assert held == {1: "dry-run", 2: None}
    with pytest.raises(NotFound):
        await instructing.make(channel.services, "unknown", new())


async def test_acknowledgements_of_one_moment_each_have_their_own_answer(
    channel: Channel,
) -> None:
    one, other = await channel.session(), await channel.session(agent_id="b")
    (mine,), (theirs, undelivered) = await channel.make(one), await channel.make(other, 2)
    for of in (one, other):
        await channel.connect(of, f"stream of {of.agent_id}")
    sent, also = await asyncio.gather(
        *(channel.deliver(of, f"stream of {of.agent_id}") for of in (one, other))
    )
    assert ([o.id for o in sent], [o.id for o in also]) == ([mine.id], [theirs.id, undelivered.id])
    stranger = mine.model_copy(update={"agent_id": "b"})
    found = await asyncio.gather(
        ack(channel, mine, Ack.RECEIVED),
        ack(channel, theirs, Ack.PROCESSED, result="done"),
        ack(channel, stranger, Ack.FAILED),
        ack(channel, theirs, Ack.FAILED),
        ack(channel, mine, Ack.RECEIVED),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in found] == [
        "Acknowledged",
        "Acknowledged",
        "NotFound",
        "Conflict",
        "Acknowledged",
    ]
    repeated = [one.repeated for one in found if isinstance(one, Acknowledged)]
    assert repeated == [False, False, True]
    rows = {row.id: row for row in await channel.rows(Instruction)}
    assert (rows[mine.id].status, rows[theirs.id].status) == ("received", "processed")
    acks = {
        (row.instruction_id, row.status, row.accepted) for row in await channel.rows(InstructionAck)
    }
    assert acks == {
        (mine.id, "received", True),
        (theirs.id, "processed", True),
        (theirs.id, "failed", False),
    }
    # Pages are told of each, in the order in which they came.
    news = [row.data for row in await channel.rows(LiveEvent) if row.data.get("ack_status")]
    assert [(row["instruction_id"], row["status"]) for row in news] == [
        (str(mine.id), "received"),
        (str(theirs.id), "processed"),
    ]


async def test_streams_that_ask_at_one_moment_are_each_given_their_own(channel: Channel) -> None:
    one, other = await channel.session(), await channel.session(agent_id="b")
    await channel.make(one)
    await channel.make(other, 2)
    for of in (one, other):
        await channel.connect(of, f"stream of {of.agent_id}")
    found = await asyncio.gather(
        channel.claim(one, f"stream of {one.agent_id}"),
        channel.claim(other, f"stream of {other.agent_id}"),
        channel.claim(other, "an older stream"),
        return_exceptions=True,
    )
    assert found[:2] == [[1], [1, 2]]
    assert isinstance(found[2], Conflict)
    takers = {(row.session_id, row.claimed_by) for row in await channel.rows(Instruction)}
    assert takers == {(of.session_id, f"stream of {of.agent_id}") for of in (one, other)}
