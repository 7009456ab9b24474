"""News from watchdog's thread."""

import asyncio
from pathlib import Path

from watchdog.events import DirCreatedEvent, FileCreatedEvent

from agent.epu.observe import Notices


async def test_news_that_is_on_its_way_while_news_is_taken_comes_with_the_next():
    notices = Notices(asyncio.get_running_loop())
    file, folder = Path("/s/EpuSession.dm"), Path("/s/Metadata")
    notices.dispatch(FileCreatedEvent(str(file)))
    notices.dispatch(DirCreatedEvent(str(folder)))

    taken = notices.take()
    async with asyncio.timeout(5):
        await notices.wait(5)

    assert taken == (set(), set())
    assert notices.take() == ({file}, {folder})
