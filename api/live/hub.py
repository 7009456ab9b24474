"""What changed, read once for all streams of a process.

The hub waits for the announcement that each commit of news makes (or, on SQLite, for any commit),
reads what is new in one go, and hands it to the streams; no stream asks by itself. It runs while
there are streams.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from time import monotonic
from typing import Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from api.live.events import News, Shown, Wanted, Written, progress_of, read_news
from core.announcing import NEWS
from core.errors import StorageUnavailable
from core.instruction_settings import StreamSettings
from messaging.doorbell import Doorbell, woken
from models.cryoem.instructions import live
from models.database import Database

logger = logging.getLogger(__name__)

#: Most events read at once.
_AT_ONCE: Final = 1_000
#: A stream that so many events wait for takes none: it is closed, and comes back for them.
_MOST_WAITING: Final = 5_000
#: Pages are told at most so often, in seconds: one write for all that came meanwhile. An agent is
#: told at once.
_GATHER: Final = 0.05
#: So many pages are written to before others, such as an agent's stream, have their turn.
_PAGES_AT_ONCE: Final = 20
#: After a failed look at the database, in seconds.
_LOOK_AGAIN: Final = 1.0


class Subscription:
    """What waits for one stream of a page."""

    def __init__(self, wanted: Wanted, since: int) -> None:
        """Take what it shows, and the number of the newest event read before it began."""
        self.wanted = wanted
        self.since = since
        #: It did not keep up: what waited is thrown away.
        self.lost = False
        #: Whether it is time for a heartbeat.
        self.beat_due = True
        self._waiting: list[Written] = []
        self._events = 0
        self._woken = asyncio.Event()
        self._woken.set()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, written: Written) -> None:
        """Add events that the stream shows, to be sent with what waits already."""
        if not written.events or self.lost:
            return
        self._waiting.append(written)
        self._events += written.events
        if self._events > _MOST_WAITING:
            self.lost = True
            self._waiting.clear()
        self.wake()

    def wake(self) -> None:
        """Have the stream look at what there is."""
        self._woken.set()

    def beat_after(self, seconds: float) -> None:
        """Have the next heartbeat fall due: one timer for each, rather than one for each wait."""
        self.beat_due = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self._beat)

    def end(self) -> None:
        """Ask for no more heartbeats."""
        if self._timer is not None:
            self._timer.cancel()

    async def take(self) -> bytes:
        """Wait to be woken, at first not at all; return all that waits, and clear it."""
        await self._woken.wait()
        self._woken.clear()
        waiting, self._waiting, self._events = self._waiting, [], 0
        return b"".join(one.frames for one in waiting)

    def _beat(self) -> None:
        self.beat_due = True
        self.wake()


class Hub:
    """Reads news for all streams of a process while there are any."""

    def __init__(self, settings: StreamSettings, database: Database, doorbell: Doorbell) -> None:
        """Take what it needs; nothing runs before the first stream."""
        self._settings = settings
        self._database = database
        self._doorbell = doorbell
        self._pages: set[Subscription] = set()
        self._agents: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._streams = 0
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._seq = 0
        self._gathered: list[Shown] = []
        self._told_at = float("-inf")
        self._every = settings.progress_seconds
        self._changed: set[UUID] = set()
        self._counted_at = float("-inf")
        #: True once the server stops: streams end.
        self.closing = False

    @asynccontextmanager
    async def pages(self, wanted: Wanted) -> AsyncIterator[Subscription]:
        """Give a subscription to all that is new from now on."""
        async with self._serving():
            made = Subscription(wanted, self._seq)
            self._pages.add(made)
            try:
                yield made
            finally:
                made.end()
                self._pages.discard(made)

    @asynccontextmanager
    async def agents(self, session_id: str) -> AsyncIterator[asyncio.Event]:
        """Give an event that is set when an agent's stream may have something to do."""
        async with self._serving():
            with self._watching(session_id) as event:
                yield event

    def close(self) -> None:
        """Have all streams end, since the server stops."""
        self.closing = True
        for page in self._pages:
            page.wake()
        for events in self._agents.values():
            for event in events:
                event.set()

    @contextmanager
    def _watching(self, session_id: str) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self._agents[session_id].add(event)
        try:
            yield event
        finally:
            self._agents[session_id].discard(event)
            if not self._agents[session_id]:
                del self._agents[session_id]

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        self._streams += 1
        if self._running is None or self._running.done():
            self._ready.clear()
            # Not as whoever opened the first stream: it reads for all of them.
            self._running = asyncio.create_task(self._run(), name="live-news", context=Context())
        try:
            await self._ready.wait()
            yield
        finally:
            self._streams -= 1
            if not self._streams and self._running is not None:
                running, self._running = self._running, None
                running.cancel()

    async def _run(self) -> None:
        with self._doorbell.listening(*NEWS) as bell:
            started = False
            while True:
                try:
                    if not started:
                        self._seq = await self._database.read(live.newest_seq)
                        started = True
                        self._ready.set()
                    await self._look(bell)
                except (StorageUnavailable, DBAPIError):
                    # The loop of this part of the process: streams stay, and news come later.
                    logger.exception("Could not read news", extra={"action": "news_unread"})
                    await asyncio.sleep(_LOOK_AGAIN)

    async def _look(self, bell: asyncio.Event) -> None:
        bell.clear()
        news = await self._database.read(read_news, self._seq, limit=_AT_ONCE)
        self._wake(news)
        if not news.full:
            await self._rest(bell)

    async def _rest(self, bell: asyncio.Event) -> None:
        """Tell pages what was gathered, until there is more to read."""
        while True:
            if self._gathered and self._due(self._told_at, _GATHER) <= 0:
                await self._tell()
            if self._changed and self._due(self._counted_at, self._every) <= 0:
                await self._count()
            if bell.is_set():
                return
            waits = [self._settings.look_seconds]
            if self._gathered:
                waits.append(self._due(self._told_at, _GATHER))
            if self._changed:
                waits.append(self._due(self._counted_at, self._every))
            if not await woken(bell, timeout=max(min(waits), 0.0)) and len(waits) == 1:
                return

    def _due(self, last: float, every: float) -> float:
        """Return in how many seconds something may be done again."""
        return last + every - monotonic()

    def _wake(self, news: News) -> None:
        """Take in what was read, and wake the agents that it concerns."""
        self._seq = news.seq
        self._changed |= news.changed
        self._gathered += news.shown
        for one in news.shown:
            if one.wakes and one.session_id in self._agents:
                for event in self._agents[one.session_id]:
                    event.set()

    async def _tell(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._told_at = monotonic()
        # Pages that show the same are sent the same bytes.
        written: dict[Wanted, Written] = {}
        for number, page in enumerate(tuple(self._pages), start=1):
            if page.since >= gathered[0].seq:
                # It has come meanwhile, and was shown the rest as it came.
                page.put(page.wanted.of(one for one in gathered if one.seq > page.since))
            else:
                if page.wanted not in written:
                    written[page.wanted] = page.wanted.of(gathered)
                page.put(written[page.wanted])
            if number % _PAGES_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _count(self) -> None:
        """Count what changed, for the pages that are told how far acquisitions are."""
        changed, self._changed = self._changed, set()
        self._counted_at = monotonic()
        if any(page.wanted.has("acquisition.progress") for page in self._pages):
            counted = await self._database.read(progress_of, changed, self._seq)
            for page in self._pages:
                page.put(page.wanted.of(counted))
