"""Keep work that can wait to a share of a process's time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic


class Pace:
    """Rest after work, so long that the work takes no more than its share; of all threads."""

    def __init__(self, share: float, *, clock: Callable[[], float] = monotonic) -> None:
        """Take the share of the time that work may take, above 0 and at most 1."""
        self._rest = 1 / share - 1
        self._clock = clock
        self._changing = Lock()
        self._rests_until = 0.0

    def rests(self) -> bool:
        """Return whether work is to wait."""
        return self._clock() < self._rests_until

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work, and rest as long as it takes to make up for it."""
        began = self._clock()
        yield
        ended = self._clock()
        with self._changing:
            rests_until = max(self._rests_until, ended)
            self._rests_until = rests_until + self._rest * (ended - began)
