"""Write what clients ask for: gathered for a moment, committed together, answered one by one."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from contextvars import Context
from time import perf_counter
from typing import Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from core.caller import Caller
from core.clock import utcnow
from core.errors import Conflict
from models import audit
from models.cryoem.instructions import live
from models.cryoem.smartem import group
from models.cryoem.smartem.audited import note_of
from models.cryoem.smartem.writes import After, Create, Overtaken, Result, Step, Write
from models.database import FAULTS
from tasks import measuring
from tasks.cryoem.entities import DISCOVERED, ENDED, REGISTERED, about
from tasks.gathering import Audited, Gathered
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

_Asked = Audited[Write]


class EntityWriter:
    """Takes writes of many requests at once, and commits those that come together as one.

    Each has its own result or its own error: what is wrong with one fails no other. Writes of
    callers who see different sessions are never in one transaction.
    """

    def __init__(self, where: Ringable, *, publish: bool) -> None:
        """Take where to write, and whether messages of ours are published."""
        self._where = where
        self._publish = publish
        self._writes: Gathered[_Asked, Result] = Gathered(
            self._write_group,
            seconds=GATHER_SECONDS,
            most=GROUP_ENTITIES,
            size=_entities,
            lanes=LANES,
        )
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
        return await self._writes.ask(Audited(write))

    async def close(self) -> None:
        """Return when all is written, and all that it asked for is rung."""
        await self._writes.close()
        if self._telling is not None:
            await asyncio.wait([self._telling])
        await self._ringer.close()

    async def _write_group(self, asked: Sequence[_Asked]) -> list[Result | Exception]:
        """Write a group; one that is alone and lost a race is tried once more."""
        try:
            return await self._commit(asked)
        except (IntegrityError, Overtaken):
            if len(asked) > 1:
                raise
        # Another process made the same at the same moment: now it is there to be found.
        try:
            return await self._commit(asked)
        except IntegrityError as error:
            raise Conflict("Something of the same id was made at the same moment.") from error

    async def _commit(self, asked: Sequence[_Asked]) -> list[Result | Exception]:
        began = perf_counter()
        steps, after = await self._where.database.write(self._apply, asked)
        # Not as whoever asked: what follows is for all.
        Context().run(self._follow_up, after)
        self._tell_pages(
            step.grid for step in steps if step.error is None and step.grid is not None
        )
        measuring.written(
            [step.message for step in steps if step.message is not None],
            refused=[group.kind_of(step.write) for step in steps if step.error is not None],
            seconds=perf_counter() - began,
        )
        return [step.result if step.error is None else step.error for step in steps]

    def _apply(self, session: Session, asked: Sequence[_Asked]) -> tuple[list[Step], After]:
        # Made here: a transaction that lost a race is repeated from the beginning.
        steps = [Step(one.asked, _source(one.caller)) for one in asked]
        after = group.apply(session, steps, now=utcnow(), publish=self._publish)
        audit.tell(
            session,
            [
                (one.trail, one.caller, note_of(step))
                for one, step in zip(asked, steps, strict=True)
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
        except FAULTS as error:
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


def _entities(asked: _Asked) -> int:
    """Return how many entities a write is about."""
    return len(asked.asked.requests) if isinstance(asked.asked, Create) else 1


def _source(caller: Caller) -> str:
    return "http" if caller.kind in ("anyone", "system") else f"http:{caller.name}"
