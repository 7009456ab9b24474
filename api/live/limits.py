"""How many streams one process serves, in all and for one caller."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Literal

from prometheus_client import Gauge

from api.errors import RequestRefused
from core import metrics
from core.instruction_settings import StreamSettings

#: Whom a stream is for.
Kind = Literal["agent", "page"]

_OPEN: dict[Kind, Gauge] = {"agent": metrics.AGENT_STREAMS, "page": metrics.PAGE_STREAMS}


class TooManyStreams(RequestRefused):
    """There are too many streams open."""

    def __init__(self, why: str) -> None:
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS, f"{why} Close some, or come back later.")


class Limits:
    """Counts streams that are open."""

    def __init__(self, settings: StreamSettings) -> None:
        """Take how many there may be."""
        self._most: dict[Kind, int] = {"agent": settings.max_agents, "page": settings.max_pages}
        self._most_of_one = settings.max_per_caller
        self._open: Counter[Kind] = Counter()
        self._of_one: Counter[tuple[Kind, str]] = Counter()

    def require_room(self, kind: Kind, caller: str) -> None:
        """Raise TooManyStreams when one more would be too many."""
        if self._open[kind] >= self._most[kind]:
            why = f"This process serves {self._most[kind]} streams of {kind}s already."
        elif self._of_one[kind, caller] >= self._most_of_one:
            why = f"{caller} has {self._most_of_one} streams open already."
        else:
            return
        metrics.STREAMS_REFUSED.labels(kind).inc()
        raise TooManyStreams(why)

    @contextmanager
    def counted(self, kind: Kind, caller: str) -> Iterator[None]:
        """Count a stream while the context lasts.

        Raises:
            TooManyStreams: Others came first.
        """
        self.require_room(kind, caller)
        self._open[kind] += 1
        self._of_one[kind, caller] += 1
        try:
            with _OPEN[kind].track_inprogress():
                yield
        finally:
            self._open[kind] -= 1
            self._of_one[kind, caller] -= 1
            if not self._of_one[kind, caller]:
                del self._of_one[kind, caller]
