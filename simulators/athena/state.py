"""What every route of the simulator works with."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from simulators.athena.faults import FaultInjector
from simulators.athena.storage import Store
from simulators.athena.wire import Problem, not_found


class Waiters:
    """The TimedDecisions that wait, by the area that they ask about."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def listen(self, session: str, area: int) -> Iterator[asyncio.Event]:
        """Give an event that is set when there may be news of this area."""
        news = asyncio.Event()
        key = (session, area)
        self._waiting[key].add(news)
        try:
            yield news
        finally:
            self._waiting[key].discard(news)
            if not self._waiting[key]:
                del self._waiting[key]

    def wake(self, session: str, areas: Iterable[int]) -> None:
        """Say that there may be news of these areas."""
        for area in areas:
            for news in self._waiting.get((session, area), ()):
                news.set()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True
        for events in self._waiting.values():
            for news in events:
                news.set()

    async def wait(self, news: asyncio.Event, deadline: float) -> bool:
        """Wait for news until `deadline` on the loop's clock; tell whether there may be any."""
        if self._closed:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The simulator is stopping.")
        try:
            async with asyncio.timeout_at(deadline):
                await news.wait()
        except TimeoutError:
            return False
        news.clear()
        return True


@dataclass(frozen=True)
class Simulator:
    """One simulated service."""

    store: Store
    injector: FaultInjector
    clock: Callable[[], datetime]
    waiters: Waiters = field(default_factory=Waiters)

    def check_session(self, session_id: UUID) -> str:
        """Return the session's id as stored; 404 when there is no such session."""
        session = str(session_id)
        if not self.store.exists("session", {"id": session}):
            raise not_found(f"Session {session} has not been registered.")
        return session

    def check_area(self, session_id: UUID, area_id: int) -> str:
        """Return the session's id as stored; 404 when it or the area is unknown."""
        session = self.check_session(session_id)
        if not self.store.exists("area", {"session": session, "id": area_id}):
            raise not_found(f"Area {area_id} of session {session} has not been registered.")
        return session


def _simulator(request: Request) -> Simulator:
    return request.app.state.simulator


Sim = Annotated[Simulator, Depends(_simulator)]
