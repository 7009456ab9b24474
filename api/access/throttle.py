"""Slow down who guesses passwords: a few wrong ones a minute from one address, then none."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from core.errors import TooManyAttempts

_WINDOW: Final = 60.0
#: Addresses remembered at once; beyond that the ones unheard of for longest are forgotten.
_MOST: Final = 10_000


class Throttle:
    """Counts failures by address."""

    def __init__(self, per_minute: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = monotonic
        self._failures: dict[str, deque[float]] = {}

    def check(self, address: str) -> None:
        """Let an attempt from an address pass.

        Raises:
            TooManyAttempts: It failed too often in the last minute.
        """
        failures = self._recent(address)
        if len(failures) >= self._per_minute:
            raise TooManyAttempts(max(1.0, failures[0] + _WINDOW - self._now()))

    def failed(self, address: str) -> None:
        """Count a failure."""
        failures = self._recent(address)
        failures.append(self._now())
        # At the end, as the one heard of last.
        self._failures.pop(address, None)
        self._failures[address] = failures
        if len(self._failures) > _MOST:
            del self._failures[next(iter(self._failures))]

    def _recent(self, address: str) -> deque[float]:
        failures = self._failures.get(address, deque())
        while failures and failures[0] <= self._now() - _WINDOW:
            failures.popleft()
        if not failures:
            self._failures.pop(address, None)
        return failures
