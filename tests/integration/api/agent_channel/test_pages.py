"""Streams of pages, read without a server: what they cost, and what their callers come to see."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic, thread_time

from api.access.bearers import Access
from api.live.events import Wanted
from api.live.grants import Grant
from api.live.hub import Hub
from api.live.limits import Limits
from api.live.pages import page_frames
from core.caller import SYSTEM, Caller, asking
from core.instruction_settings import StreamSettings
from core.permissions import Permission, Role
from models.cryoem.instructions.live import EventType
from tests.integration.api.agent_channel.conftest import Channel
from tests.session_fixtures import test_settings as short_settings
from tests.support import PATIENCE

#: A page that shows instructions, and no heartbeats.
INSTRUCTIONS = Wanted(event_types=frozenset({EventType.INSTRUCTION_LIFECYCLE}))


@asynccontextmanager
async def a_page(
    channel: Channel, settings: StreamSettings
) -> AsyncIterator[AsyncGenerator[bytes]]:
    """Open a page's stream; what there is comes first."""
    services = replace(channel.services, settings=short_settings(streams=settings))
    hub = Hub(settings, services.database, services.doorbell)
    frames = page_frames(
        services,
        hub,
        Limits(settings),
        INSTRUCTIONS,
        grant=Grant(Access(services.settings, services.database), SYSTEM, None, "a test"),
        seen=None,
    )
    await anext(frames)
    try:
        yield frames
    finally:
        await frames.aclose()


async def test_a_page_without_heartbeats_costs_nothing_while_nothing_happens(
    channel: Channel,
) -> None:
    async with a_page(channel, StreamSettings()) as frames:
        following = asyncio.ensure_future(anext(frames))
        began, busy = monotonic(), thread_time()
        await asyncio.sleep(0.3)
        busy, taken = thread_time() - busy, monotonic() - began
        following.cancel()
        await asyncio.wait([following])
    assert busy < taken / 2


async def test_a_page_without_heartbeats_comes_to_see_what_becomes_its_callers(
    channel: Channel,
) -> None:
    somebody = Caller("a", "user", Role.OPERATOR, frozenset(Permission), frozenset({"visit-1"}))
    with asking(somebody):
        async with a_page(channel, StreamSettings(heartbeat_seconds=0.05)) as frames:
            of = await channel.session()
            async with asyncio.timeout(PATIENCE):
                following = asyncio.ensure_future(anext(frames))
                while not following.done():
                    await channel.make(of)
                    await asyncio.wait([following], timeout=0.1)
            assert of.session_id.encode() in following.result()
