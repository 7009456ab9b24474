"""Streams over a real port: to agents until they acknowledge, to pages as it happens."""

import asyncio

from api.live.events import Wanted, look_up_sight, read_news
from core.caller import Caller, asking
from core.instruction_settings import InstructionSettings, StreamSettings
from core.permissions import Permission, Role
from domains.cryoem import ids
from domains.cryoem.instructions import Mode, Priority
from models.cryoem.instructions.tables import AgentConnection, Instruction
from models.cryoem.messages.measurements import MotionCorrected
from tasks.cryoem import instructing
from tasks.cryoem.measurements import drain_measurements
from tests.integration.api.agent_channel.conftest import (
    AGENT,
    Channel,
    Streams,
    following,
    serving,
)
from tests.integration.api.played import register
from tests.session_fixtures import Here, SmallSession
from tests.support import wait_until


async def test_an_agent_is_sent_what_waits_and_what_comes_until_it_acknowledges(
    streams: Streams,
) -> None:
    of = await streams.channel.session()
    await streams.channel.make(of, priority=Priority.LOW)
    await streams.channel.make(of, priority=Priority.URGENT, extra={"by": "hand"})
    async with streams.agent(of) as events:
        hello = await following(events, "connection", "instruction", "heartbeat", "error")
        assert (hello["_event"], hello["agent_id"], hello["status"]) == (
            "connection",
            AGENT,
            "connected",
        )
        first = await following(events, "instruction")
        second = await following(events, "instruction")
        assert (first["_id"], second["_id"]) == ("2", "1")
        assert (first["payload"]["gridsquare_ids"], first["metadata"]) == (["7"], {"by": "hand"})
        for one in (first, second):
            answer = await streams.ack(of, one["instruction_id"], "received")
            assert answer.json()["status"] == "success"
        await streams.channel.make(of)
        third = await following(events, "instruction")
        answer = await streams.ack(of, third["instruction_id"], "processed", result="skipped 7")
        assert answer.status_code == 200
        await following(events, "heartbeat")
    audited = await streams.client.get("/audit", params={"entity": "instruction"})
    changes = [(row["before"], row["after"]["status"]) for row in audited.json()["items"]]
    assert ({"status": "sent"}, "processed") in changes or (
        {"status": "pending"},
        "processed",
    ) in changes
    detail = (await streams.client.get(f"/instructions/{third['instruction_id']}")).json()
    assert (detail["status"], detail["outcome"]) == ("processed", "skipped 7")


async def test_what_is_not_acknowledged_comes_again(channel: Channel) -> None:
    of = await channel.session()
    await channel.make(of)
    hasty = InstructionSettings(ack_seconds=0.05, resends=2)
    async with serving(channel, instructions=hasty) as streams, streams.agent(of) as events:
        told = [await following(events, "instruction") for _ in range(3)]
        assert [(one["sequence_number"], one["attempt"]) for one in told] == [
            (1, 1),
            (1, 2),
            (1, 3),
        ]


async def test_an_agent_that_comes_back_is_sent_again_what_it_has_not_acknowledged(
    streams: Streams,
) -> None:
    of = await streams.channel.session()
    await streams.channel.make(of, 3)
    async with streams.agent(of) as events:
        told = [await following(events, "instruction") for _ in range(3)]
        await streams.ack(of, told[1]["instruction_id"], "processed")
    async with streams.agent(of, seen="3") as events:
        assert [(await following(events, "instruction"))["_id"] for _ in range(2)] == ["1", "3"]


async def test_the_newer_stream_of_a_session_takes_the_place_of_the_older(
    streams: Streams,
) -> None:
    of = await streams.channel.session()
    async with streams.agent(of) as old:
        await following(old, "connection")
        async with streams.agent(of) as new:
            await following(new, "connection")
            end = await following(old, "error")
            assert "newer stream" in end["message"]
            await streams.channel.make(of)
            assert (await following(new, "instruction"))["_id"] == "1"
    # The older one's end is no news of the agent.
    rows = await wait_until(lambda: closed(streams.channel, 2), what="both streams to be closed")
    assert {one.close_reason for one in rows} == {"superseded", "client_disconnect"}
    assert len(streams.channel.launcher.emitted) == 1


async def closed(channel: Channel, count: int) -> list[AgentConnection]:
    rows = await channel.rows(AgentConnection)
    return rows if len(rows) == count and all(one.closed_at for one in rows) else []


async def test_a_page_is_told_of_agents_instructions_and_logs_and_of_what_it_missed(
    streams: Streams,
) -> None:
    of = await streams.channel.session(Mode.SEMI_AUTO)
    async with streams.page() as page, streams.agent(of) as agent:
        online = await following(page, "agent.status")
        assert (online["agent_id"], online["status"]) == (AGENT, "online")
        (made,) = await streams.channel.make(of)
        held = await following(page, "instruction.lifecycle")
        assert (held["status"], held["held"]) == ("pending", "approval")
        answer = await streams.client.post(f"/instructions/{made.id}/approve")
        assert answer.json()["judged_by"] == "anyone"
        await following(agent, "instruction")
        states = [(await following(page, "instruction.lifecycle"))["status"] for _ in range(2)]
        assert states == ["pending", "sent"]
        line = {"timestamp": "2026-03-01T09:00:00", "level": "INFO", "logger_name": "epu"}
        path = f"/agent/{AGENT}/session/{of.session_id}/logs"
        answer = await streams.client.post(path, json={"logs": [{**line, "message": "hello"}]})
        assert answer.json() == {"stored": 1}
        log = await following(page, "agent.log")
        assert (log["message"], log["timestamp"]) == ("hello", "2026-03-01T09:00:00Z")
    await streams.ack(of, str(made.id), "declined", error_message="no")
    async with streams.page("instruction.lifecycle", seen=log["_id"]) as page:
        missed = [await following(page, "instruction.lifecycle")]
        while missed[-1]["status"] != "declined":
            missed.append(await following(page, "instruction.lifecycle"))
        assert missed[-1]["ack_status"] == "declined"
        assert all(int(one["_id"]) > int(log["_id"]) for one in missed)


async def test_pages_are_told_what_they_ask_for(streams: Streams) -> None:
    one, other = await streams.channel.session(), await streams.channel.session(agent_id="b")
    async with (
        streams.page("instruction.lifecycle", agent_id="b") as page,
        streams.page("heartbeat") as beats,
    ):
        assert (await following(beats, "heartbeat"))["connection_time_s"] < 20
        await streams.channel.make(one)
        await streams.channel.make(other)
        assert (await following(page, "instruction.lifecycle"))["agent_id"] == "b"
        await following(beats, "heartbeat")
    refused = await streams.client.get(
        "/frontend/events/stream", params={"event_types": "agent.status,agent.mood"}
    )
    assert (refused.status_code, "agent.mood" in refused.json()["detail"]) == (422, True)


async def test_streams_end_when_the_server_stops_and_more_than_allowed_are_refused(
    channel: Channel,
) -> None:
    of = await channel.session()
    few = StreamSettings(max_per_caller=1)
    async with serving(channel, streams=few) as streams:  # noqa: SIM117 (it ends first)
        async with streams.agent(of) as agent, streams.page() as page:
            await following(agent, "connection")
            for path in (
                f"/agent/{AGENT}/session/{of.session_id}/instructions/stream",
                "/frontend/events/stream",
            ):
                refused = await streams.client.get(path)
                assert refused.status_code == 429
                assert "has 1 streams open" in refused.json()["detail"]
            async with asyncio.timeout(4):
                await streams.server.stop()
                assert [event.event async for event in agent] == []
                assert "error" not in [event.event async for event in page]
    assert await closed(channel, 1)


async def test_a_stream_of_no_session_is_refused_by_its_status(streams: Streams) -> None:
    of = await streams.channel.session()
    base = "/agent/{}/session/{}/instructions/stream"
    for agent, session, status in (
        (AGENT, "unknown", 404),
        ("another", of.session_id, 404),
    ):
        assert (await streams.client.get(base.format(agent, session))).status_code == status
    await instructing.end_session(streams.channel.services, of.session_id)
    assert (await streams.client.get(base.format(AGENT, of.session_id))).status_code == 409


async def test_a_session_that_ends_ends_its_stream(streams: Streams) -> None:
    of = await streams.channel.session()
    async with streams.agent(of) as events:
        await following(events, "connection")
        answer = await streams.client.post(f"/agent/sessions/{of.session_id}/end")
        assert answer.json()["status"] == "ended"
        assert "has ended" in (await following(events, "error"))["message"]


async def test_smartems_tools_make_sessions_and_instructions_by_hand(streams: Streams) -> None:
    client = streams.client
    made = (await client.post("/debug/sessions/create", json={"agent_id": "a", "x": 1})).json()
    path = f"/debug/session/{made['session_id']}"
    done = (await client.post(f"{path}/create-instruction", json={"priority": "high"})).json()
    stats = (await client.get("/debug/connection-stats")).json()
    assert (stats["active_sessions"], stats["pending_instructions"]) == (1, 1)
    of = (await client.get("/debug/sessions")).json()["active_sessions"][0]
    assert of["mode"] == "auto"
    async with streams.stream(f"/agent/a/session/{made['session_id']}/instructions/stream") as e:
        told = await following(e, "instruction")
        assert told["instruction_type"] == "test.instruction"
        assert (await client.get("/debug/agent-connections")).json()["total_count"] == 1
        ack = f"/agent/a/session/{made['session_id']}/instructions/{done['instruction_id']}/ack"
        assert (await client.post(ack, json={"status": "processed"})).status_code == 200
    listed = (await client.get(f"{path}/instructions")).json()
    assert listed["acknowledgement_statistics"] == {"processed": 1}
    assert listed["instructions"][0]["acknowledgements_count"] == 1
    closed = (await client.delete(f"/debug/sessions/{made['session_id']}/close")).json()
    assert closed["status"] == "closed"
    (row,) = await streams.channel.rows(Instruction)
    assert row.created_by == "debug"


async def test_a_page_is_told_how_far_a_session_is_and_what_was_measured(
    streams: Streams, here: Here
) -> None:
    session = SmallSession()
    acquisition = str(ids.acquisition_uuid(session.manifest))
    async with streams.page("acquisition.progress", "processing.metric") as page:
        await register(here, session)
        told = await following(page, "acquisition.progress")
        while (told["foilhole_count"], told["micrograph_count"]) != (6, 1):
            told = await following(page, "acquisition.progress")
        assert (told["acquisition_uuid"], told["gridsquare_count"]) == (acquisition, 2)
        stem = session.micrograph(1, session.holes[1][0]).name.stem
        motion = MotionCorrected(
            event_type="motion_correction.completed",
            grid_uuid=session.grid,
            micrograph_id=stem,
            total_motion=12.5,
            average_motion=0.4,
        )
        await here.send(motion)
        await drain_measurements.fn(session.grid)
        metric = await following(page, "processing.metric")
    found = (metric["micrograph_uuid"], metric["total_motion"])
    assert found == (str(ids.micrograph_uuid(session.grid, stem)), 12.5)
    # Who comes later is shown where things stand, and may ask for one acquisition only.
    async with streams.page("acquisition.progress", acquisition_uuid=acquisition) as page:
        assert (await following(page, "acquisition.progress"))["micrograph_count"] == 1


async def test_a_page_is_told_of_its_callers_sessions_only(channel: Channel) -> None:
    def somebody(organisation: str) -> Caller:
        return Caller(
            organisation, "user", Role.OPERATOR, frozenset(Permission), frozenset({organisation})
        )

    with asking(somebody("visit-1")):
        of = await channel.session()
        await channel.make(of)
    database = channel.services.database
    news = await database.read(read_news, 0, limit=10)
    shown = {}
    for organisation in ("visit-1", "visit-2"):
        with asking(somebody(organisation)):
            sight = await database.read(look_up_sight)
        shown[organisation] = [one for one in news.shown if Wanted(sight=sight).takes(one)]
    assert (len(news.shown), len(shown["visit-1"]), shown["visit-2"]) == (1, 1, [])
