"""News from watchdog's thread."""

import asyncio
import threading
from pathlib import Path

from watchdog.events import DirCreatedEvent, FileCreatedEvent

from agent.epu.observe import Notices
from tests.support import PATIENCE


async def test_news_of_files_and_folders_wakes_and_is_taken_once():
    notices = Notices(asyncio.get_running_loop())
    file, folder = Path("/s/EpuSession.dm"), Path("/s/Metadata")
    notices.dispatch(FileCreatedEvent(str(file)))
    notices.dispatch(DirCreatedEvent(str(folder)))
    notices.dispatch(FileCreatedEvent("/s/movie.tiff"))
    async with asyncio.timeout(PATIENCE):
        await notices.wait(PATIENCE)
    assert notices.take() == ({file}, {folder})
    assert notices.take() == (set(), set())


async def test_no_news_is_lost_that_comes_while_news_is_taken():
    notices = Notices(asyncio.get_running_loop())
    wanted = {Path(f"/s/Metadata/GridSquare_{number}.dm") for number in range(5_000)}

    def happen() -> None:
        for path in wanted:
            notices.dispatch(FileCreatedEvent(str(path)))

    thread = threading.Thread(target=happen)
    thread.start()
    taken: set[Path] = set()
    async with asyncio.timeout(PATIENCE):
        while taken != wanted:
            await notices.wait(PATIENCE)
            taken |= notices.take()[0]
    thread.join()
