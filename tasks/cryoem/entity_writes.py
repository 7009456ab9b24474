"""Write what clients ask for: gathered for a moment, committed together, answered one by one."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass
from time import perf_counter
from typing import Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlmodel import Session

from core.caller import Caller, asking, current_caller
from core.clock import utcnow
from core.errors import Conflict, StorageUnavailable
from models import audit
from models.audit import Trail, current_trail
from models.cryoem.instructions import live
from models.cryoem.smartem import group
from models.cryoem.smartem.audited import note_of
from models.cryoem.smartem.writes import After, Create, Result, Step, Write
from models.visibility.choice import choosing, chosen
from tasks import measuring
from tasks.cryoem.entities import DISCOVERED, ENDED, REGISTERED, about
from tasks.ringing import Ringable, Ringer

logger = logging.getLogger(__name__)

#: How long the first of a group waits for others, in seconds.
GATHER_SECONDS: Final = 0.003
#: Most entities in a group; a request that has more is a group of its own.
GROUP_ENTITIES: Final = 2_000

#: How long pages wait to be told of what was written, in seconds: news is numbered in order of
#: commit, for which those who tell it queue.
TELL_SECONDS: Final = 0.2
#: Groups that are written at once: while one is being committed, the next one is made ready.
LANES: Final = 2

#: Faults of the database, of which no write is to blame.
_NOT_THE_WRITE = (OperationalError, InterfaceError, StorageUnavailable)


@dataclass
class _Waiting:
    """A write, who asks for it, and who waits for its result."""

    write: Write
    caller: Caller
    #: The organisation that the caller named, and the request that is followed for the audit.
    organisation: str | None
    trail: Trail | None
    answer: "asyncio.Future[Result]"

    def may_join(self, other: "_Waiting") -> bool:
        """Return whether both may be in one transaction: whether they see and make the same."""
        mine, theirs = self.caller.organisations, other.caller.organisations
        return mine == theirs and self.organisation == other.organisation

    @property
    def size(self) -> int:
        """Return how many entities it is about."""
        return len(self.write.requests) if isinstance(self.write, Create) else 1


class EntityWriter:
    """Takes writes of many requests at once, and commits those that come together as one.

    Each has its own result or its own error: what is wrong with one fails no other. Writes of
    callers who see different sessions are never in one transaction.
    """

    def __init__(self, where: Ringable, *, publish: bool) -> None:
        """Take where to write, and whether messages of ours are published."""
        self._where = where
        self._publish = publish
        self._waiting: list[_Waiting] = []
        self._lanes: set[asyncio.Task[None]] = set()
        #: Grids that changed since pages were told.
        self._changed: set[UUID] = set()
        self._telling: asyncio.Task[None] | None = None
        self._ringer = Ringer(where)

    async def write(self, write: Write) -> Result:
        """Return what a write did, once it is committed.

        Raises:
            NotFound: What it is about, or belongs to, is not there.
            Conflict: It is at odds with what is there.
            BadInput: It contradicts itself.
        """
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(write, current_caller(), chosen(), current_trail(), answer))
        if len(self._lanes) < LANES:
            # Not in the context of this request: the next ones are of others.
            lane = asyncio.get_running_loop().create_task(
                self._work(), name="entity writer", context=Context()
            )
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await answer

    async def close(self) -> None:
        """Return when all is written, and all that it asked for is rung."""
        while self._lanes:
            await asyncio.wait(list(self._lanes))
        if self._telling is not None:
            await asyncio.wait([self._telling])
        await self._ringer.close()

    async def _work(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        while self._waiting:
            await self._write_group(self._take())

    def _take(self) -> list[_Waiting]:
        """Take the next group: of callers who see the same, in order of arrival."""
        first = self._waiting[0]
        taken: list[_Waiting] = []
        left: list[_Waiting] = []
        size = 0
        for one in self._waiting:
            fits = not taken or size + one.size <= GROUP_ENTITIES
            if fits and one.may_join(first):
                taken.append(one)
                size += one.size
            else:
                left.append(one)
        self._waiting = left
        return taken

    async def _write_group(self, taken: Sequence[_Waiting]) -> None:
        """Write a group; one that cannot be written as a whole is written one by one."""
        try:
            await self._commit(taken)
        except _NOT_THE_WRITE as error:
            _fail(taken, error)
        except Exception as error:  # noqa: BLE001 (the writer's one broad catch: split, or tell who asked)
            if len(taken) > 1:
                for one in taken:
                    await self._write_group([one])
            elif isinstance(error, IntegrityError):
                _fail(taken, Conflict("Something of the same id was made at the same moment."))
            else:
                _fail(taken, error)

    async def _commit(self, taken: Sequence[_Waiting]) -> None:
        began = perf_counter()
        with asking(taken[0].caller), choosing(taken[0].organisation):
            steps, after = await self._where.database.write(self._apply, taken)
        for one, step in zip(taken, steps, strict=True):
            if one.answer.done():
                continue  # nobody waits any more
            if step.error is None:
                one.answer.set_result(step.result)
            else:
                one.answer.set_exception(step.error)
        self._follow_up(after)
        self._tell_pages(
            step.grid for step in steps if step.error is None and step.grid is not None
        )
        measuring.written(
            [step.message for step in steps if step.message is not None],
            refused=[group.kind_of(step.write) for step in steps if step.error is not None],
            seconds=perf_counter() - began,
        )

    def _apply(self, session: Session, taken: Sequence[_Waiting]) -> tuple[list[Step], After]:
        # Made here: a transaction that lost a race is repeated from the beginning.
        steps = [Step(one.write, _source(one.caller)) for one in taken]
        after = group.apply(session, steps, now=utcnow(), publish=self._publish)
        audit.tell(
            session,
            [
                (one.trail, one.caller, note_of(step))
                for one, step in zip(taken, steps, strict=True)
                if one.trail is not None and step.error is None
            ],
        )
        return steps, after

    def _tell_pages(self, grids: Iterable[UUID]) -> None:
        self._changed.update(grids)
        if self._changed and self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(
                self._tell(), name="news of entities", context=Context()
            )

    async def _tell(self) -> None:
        """Tell pages which acquisitions changed; one that is not told is looked at all the same."""
        try:
            await asyncio.sleep(TELL_SECONDS)
            while self._changed:
                grids, self._changed = self._changed, set()
                await self._where.database.write(_announce, grids)
        except _NOT_THE_WRITE as error:
            logger.warning("Pages are not told of changes: %s", error)
        finally:
            self._telling = None

    def _follow_up(self, after: After) -> None:
        self._ringer.ring(after.bells)
        launcher = self._where.launcher
        if launcher is None:
            return
        for event, grids in (
            (DISCOVERED, after.discovered),
            (REGISTERED, after.registered),
            (ENDED, after.ended),
        ):
            for grid in grids:
                launcher.emit(*about(event, grid))


def _announce(session: Session, grids: Collection[UUID]) -> None:
    live.announce(session, live.grids_changed(session, grids))


def _source(caller: Caller) -> str:
    return "http" if caller.kind in ("anyone", "system") else f"http:{caller.name}"


def _fail(taken: Sequence[_Waiting], error: Exception) -> None:
    for one in taken:
        if not one.answer.done():
            one.answer.set_exception(error)
