"""Do what is asked for at one moment in one go, and answer each who asked.

A transaction costs the same for one row as for twenty. While one is under way, what is asked
for meanwhile gathers for the next: so the more is asked, the less each costs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from core.caller import Caller, asking, current_caller
from models.audit import Trail, current_trail
from models.database import FAULTS
from models.visibility.choice import choosing, chosen

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True)
class Audited(Generic[A]):
    """What is asked for, who asks, and the request that is followed for the audit."""

    asked: A
    caller: Caller = field(default_factory=current_caller)
    trail: Trail | None = field(default_factory=current_trail)


@dataclass
class _Waiting(Generic[A, R]):
    """What somebody asked for, who they are, and who waits for the answer."""

    asked: A
    caller: Caller = field(default_factory=current_caller)
    #: The organisation that the caller named.
    organisation: str | None = field(default_factory=chosen)
    answer: "asyncio.Future[R]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def sees(self) -> tuple[frozenset[str] | None, str | None]:
        """Return what must be the same of all that are in one transaction."""
        return self.caller.organisations, self.organisation

    def fail(self, error: Exception) -> None:
        """Tell who waits, if anybody does."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Gathered(Generic[A, R]):
    """Takes what is asked one by one, and has it done together, one group after the other.

    What is wrong with one fails no other, and those of callers who see different sessions are
    never in one group.
    """

    def __init__(
        self,
        work: Callable[[Sequence[A]], Awaitable[Sequence[R | Exception]]],
        *,
        seconds: float = 0.0,
        most: int = 500,
        size: Callable[[A], int] = lambda _: 1,
        lanes: int = 1,
    ) -> None:
        """Take what to do.

        Args:
            work: Does all that it is given, and returns a result or an error for each.
            seconds: How long the first waits for others.
            most: How much is done together; what is larger is a group of its own.
            size: How much something is of that.
            lanes: Groups that are at work at once.
        """
        self._work = work
        self._seconds = seconds
        self._most = most
        self._size = size
        self._lanes = lanes
        self._waiting: list[_Waiting[A, R]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def ask(self, asked: A) -> R:
        """Return the result for what is asked, or raise its error."""
        one = _Waiting[A, R](asked)
        self._waiting.append(one)
        if len(self._running) < self._lanes:
            # Not in the context of this caller: the next ones are others.
            self._running.add(
                asyncio.get_running_loop().create_task(
                    self._run(), name="gathered", context=Context()
                )
            )
        return await one.answer

    async def close(self) -> None:
        """Return when all that was asked for is done."""
        while self._running:
            await asyncio.wait(list(self._running))

    async def _run(self) -> None:
        lane = asyncio.current_task()
        assert lane is not None  # noqa: S101 (it runs as a task only)
        try:
            await asyncio.sleep(self._seconds)
            while self._waiting:
                await self._do(self._take())
        finally:
            # At once, and not when others hear that it has ended: whoever asks meanwhile would
            # believe that it is still to come to them.
            self._running.discard(lane)

    def _take(self) -> list[_Waiting[A, R]]:
        """Take the next group: of callers who see the same, in order of arrival."""
        sees = self._waiting[0].sees
        taken: list[_Waiting[A, R]] = []
        left: list[_Waiting[A, R]] = []
        room = self._most
        for one in self._waiting:
            size = self._size(one.asked)
            if one.sees == sees and (not taken or size <= room):
                taken.append(one)
                room -= size
            else:
                left.append(one)
        self._waiting = left
        return taken

    async def _do(self, taken: Sequence[_Waiting[A, R]]) -> None:
        """Do a group; one that cannot be done as a whole is done one by one."""
        try:
            with asking(taken[0].caller), choosing(taken[0].organisation):
                results = await self._work([one.asked for one in taken])
        except Exception as error:  # noqa: BLE001 (the loop's one broad catch: split, or tell who asked)
            if len(taken) > 1 and not isinstance(error, FAULTS):
                for one in taken:
                    await self._do([one])
            else:
                for one in taken:
                    one.fail(error)
            return
        for one, result in zip(taken, results, strict=True):
            if isinstance(result, Exception):
                one.fail(result)
            elif not one.answer.done():
                one.answer.set_result(result)
