"""Asks a run to end at its next safe point, for example between two batches.

The worker gives each run a request; whoever works in batches looks at it between them. Work
that does not look is interrupted wherever it waits.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum


class Why(StrEnum):
    """Why a run shall end."""

    #: A person cancelled it: what is left is not this run's any more.
    CANCELLED = "cancelled"
    #: Its worker stops: another run shall go on at once.
    WORKER_STOPS = "worker stops"


class StopRequest:
    """Whether one run shall end, and why; for one event loop."""

    def __init__(self) -> None:
        """Ask nothing yet."""
        self.why: Why | None = None
        self._waiting: set[asyncio.Event] = set()

    @property
    def is_heeded(self) -> bool:
        """Whether somebody is there who will look."""
        return bool(self._waiting)

    def ask(self, why: Why) -> None:
        """Ask the run to end; the first reason given stays."""
        self.why = self.why or why
        for event in self._waiting:
            event.set()

    @contextmanager
    def waking(self, event: asyncio.Event) -> Iterator[None]:
        """Set `event` when the run is asked to end; whoever enters promises to look at `why`."""
        self._waiting.add(event)
        try:
            yield
        finally:
            self._waiting.discard(event)


_CURRENT: ContextVar[StopRequest | None] = ContextVar("athanor_stop_request", default=None)


def provide_stop_request(request: StopRequest) -> None:
    """Make a request that of everything which is called from here on, in this context."""
    _CURRENT.set(request)


def stop_request() -> StopRequest:
    """Return the request to the run at work; outside a worker one that never asks anything."""
    return _CURRENT.get() or StopRequest()
