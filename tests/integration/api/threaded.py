"""The API on a real port, in a thread of its own, for clients that are not async."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

from api.app import create_app
from api.server import ApiServer
from core.settings import Settings
from models.database import Database
from tests.integration.api.played import play
from tests.session_fixtures import SmallSession, surroundings
from tests.session_fixtures import test_settings as short_settings
from tests.support import PATIENCE


@dataclass(frozen=True)
class Running:
    """An API that answers, about a session that was played."""

    url: str
    session: SmallSession


@contextmanager
def running_in_thread(database: Database, settings: Settings | None = None) -> Iterator[Running]:
    """Run the API on a database in which a session was played."""
    started: Future[Running] = Future()
    stop = threading.Event()

    async def run() -> None:
        async with surroundings(database, settings or short_settings()) as here:
            session = await play(here, SmallSession())
            shared = here.resources
            app = create_app(
                shared.settings,
                database=shared.database,
                doorbell=shared.doorbell,
                launcher=shared.launcher,
            )
            server = ApiServer(app, host="127.0.0.1", port=0)
            await server.start()
            try:
                started.set_result(Running(server.url, session))
                await asyncio.to_thread(stop.wait)
            finally:
                await server.stop()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield started.result(timeout=PATIENCE)
    finally:
        stop.set()
        thread.join()
