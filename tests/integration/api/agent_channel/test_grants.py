"""Open streams end when what opened them is no longer good."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlmodel import Session

from core.access_settings import AccessSettings
from core.clock import utcnow
from core.instruction_settings import StreamSettings
from core.permissions import Role
from models.access import machines
from models.access.tables import ApiKey
from models.cryoem.instructions.tables import AgentConnection
from tests.integration.api.access.people import bearer
from tests.integration.api.agent_channel.conftest import Channel, Streams, following, serving
from tests.support import PATIENCE, wait_until


@pytest.fixture
async def asking_streams(channel: Channel, tmp_path: Path) -> AsyncIterator[Streams]:
    """The API on a port, which asks everybody who they are, and again at each heartbeat."""
    async with serving(
        channel,
        home=tmp_path,
        access=AccessSettings(mode="required", remember_seconds=0),
        streams=StreamSettings(heartbeat_seconds=0.1),
    ) as made:
        yield made


async def shown_key(streams: Streams) -> ApiKey:
    """Have a new key shown with each request; return it."""
    row, key = await streams.channel.services.database.write(
        machines.add_key, "robot", Role.ENGINEER, scopes=(), created_by="tests", now=utcnow()
    )
    streams.client.headers.update(bearer(key))
    return row


async def test_streams_end_soon_after_their_key_is_revoked(asking_streams: Streams) -> None:
    streams, channel = asking_streams, asking_streams.channel
    of, key = await channel.session(), await shown_key(asking_streams)
    async with streams.agent(of) as agent, streams.page("instruction.lifecycle") as page:
        for _ in range(2):
            await following(agent, "heartbeat")
        await channel.services.database.write(machines.revoke_key, key.prefix, now=utcnow())
        for stream in (agent, page):
            assert (await following(stream, "error"))["error"] == "access_ended"
            async with asyncio.timeout(PATIENCE):
                assert [event.event async for event in stream] == []

    async def closed() -> list[str | None]:
        return [one.close_reason for one in await channel.rows(AgentConnection) if one.closed_at]

    assert await wait_until(closed, what="the agent's stream to be closed") == ["access_ended"]


async def test_a_stream_ends_when_the_rights_of_its_key_change(asking_streams: Streams) -> None:
    streams = asking_streams
    key = await shown_key(streams)
    async with streams.page("heartbeat") as page:
        await following(page, "heartbeat")

        def belong_elsewhere(session: Session) -> None:
            row = session.get_one(ApiKey, key.prefix)
            row.organisations = ["visit-1"]

        await streams.channel.services.database.write(belong_elsewhere)
        assert (await following(page, "error"))["error"] == "access_ended"
