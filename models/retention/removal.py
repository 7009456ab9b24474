"""Delete a session as a whole: which are due, what goes, and step by step until nothing is left.

What an agent acknowledged stays for the audit period: its instruction (without payload) and the
agent's session, which then names no grid any more. Everything else goes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, true, update
from sqlmodel import Session, SQLModel, col

from core.errors import NotFound, SessionHeld
from models import audit
from models.base import DeliveryState
from models.cryoem.decision_tables import AthenaSession
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentLog,
    AgentSession,
    Instruction,
)
from models.cryoem.tables import Acquisition, Grid
from models.inbox import InboxMessage
from models.retention import ageing, conditions, holds
from models.retention.ageing import count_where
from models.retention.subtree import ACQUISITION, BRANCHES, DRAINS, ROOT, Branch, agents_of
from models.retention.tables import SessionHold, SessionRemoval, SessionRestore
from models.sql import CHUNK, chunks, one_of

#: How the inbox calls what retention did; no sender can bring one.
REMOVED: Final = "athanor.session.removed"
RETENTION: Final = "retention"


@dataclass(frozen=True)
class Due:
    """A session to delete."""

    grid: UUID
    name: str
    over_since: datetime
    #: Deletion has begun before, and is to go on.
    begun: bool = False


@dataclass(frozen=True)
class Cut:
    """What becomes of a session's rows in one table."""

    table: type[SQLModel]
    condition: ColumnElement[bool]
    change: Mapping[str, Any] | None = None
    #: Column by which the rows are found, and the query for its values; None: by the condition.
    column: Any = None
    values: Any = None

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return f"{self.table.__tablename__}{' (kept for the audit)' if self.change else ''}"


#: A session is over since the newest of these. One that nobody ended is over since it fell
#: silent; one that was restored, since then.
_MOMENTS: Final = (
    col(Acquisition.started_at),
    col(Acquisition.ended_at),
    col(AthenaSession.run_stopped_at),
    col(Grid.last_news_at),
    col(SessionRestore.ended_at),
)


def due(session: Session, *, cutoff: datetime, grid: UUID | None = None) -> list[Due]:
    """Return the sessions that ended before a moment and are not held, the oldest first.

    First of all those whose deletion has begun, whatever the policy says now. With `grid`, only
    that one if it is among them.
    """
    restored = or_(col(SessionRestore.grid_uuid).is_(None), col(SessionRestore.ended_at) < cutoff)
    old = and_(
        *(or_(moment.is_(None), moment < cutoff) for moment in _MOMENTS),
        or_(*(moment.is_not(None) for moment in _MOMENTS)),
        restored,
    )
    rows = session.execute(
        select(
            col(Grid.uuid),
            col(Acquisition.name),
            col(SessionRemoval.grid_uuid).is_not(None),
            *_MOMENTS,
        )
        .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
        .outerjoin(AthenaSession, col(AthenaSession.grid_uuid) == col(Grid.uuid))
        .outerjoin(SessionRestore, col(SessionRestore.grid_uuid) == col(Grid.uuid))
        .outerjoin(
            SessionRemoval,
            and_(
                col(SessionRemoval.grid_uuid) == col(Grid.uuid),
                col(SessionRemoval.ended_at).is_(None),
            ),
        )
        .outerjoin(SessionHold, col(SessionHold.grid_uuid) == col(Grid.uuid))
        .where(
            col(SessionHold.grid_uuid).is_(None),
            or_(col(SessionRemoval.grid_uuid).is_not(None), old),
            true() if grid is None else col(Grid.uuid) == grid,
        )
    )
    found = [
        Due(grid, name, max([one for one in moments if one], default=cutoff), begun=begun)
        for grid, name, begun, *moments in rows
    ]
    return sorted(found, key=lambda one: (not one.begun, one.over_since, str(one.grid)))


def overdue_but_held(session: Session, *, cutoff: datetime) -> int:
    """Return how many sessions stay only because they are held."""
    return (
        session.scalar(
            select(func.count())
            .select_from(SessionHold)
            .join(Grid, col(Grid.uuid) == col(SessionHold.grid_uuid))
            .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
            .where(func.coalesce(col(Acquisition.ended_at), col(Grid.last_news_at)) < cutoff)
        )
        or 0
    )


def begin(
    session: Session,
    grid: UUID,
    *,
    now: datetime,
    cutoff: datetime,
    archive: str | None = None,
    archive_sha256: str | None = None,
) -> None:
    """Note that a session is being deleted, and from now on cannot be held.

    Raises:
        NotFound: It is gone, or has been heard of again: its archive is not the whole.
        SessionHeld: It was held meanwhile.
    """
    name = session.scalar(
        select(col(Acquisition.name))
        .join(Grid, col(Grid.acquisition_uuid) == col(Acquisition.uuid))
        .where(col(Grid.uuid) == grid)
    )
    # Locked: who holds it locks it too, and looks for its removal then.
    locked = session.scalar(select(col(Grid.uuid)).where(col(Grid.uuid) == grid).with_for_update())
    if locked is None:
        raise NotFound(f"There is no session with grid {grid}.")
    for one in holds.held(session, [grid]).values():
        raise SessionHeld(grid, one.reason, one.held_by)
    if not due(session, cutoff=cutoff, grid=grid):
        raise NotFound(f"The session with grid {grid} is not over any more.")
    row = session.get(SessionRemoval, grid)
    if row is None:
        row = SessionRemoval(grid_uuid=grid, name=name or "", began_at=now)
        session.add(row)
    elif row.ended_at is None:
        return
    row.began_at, row.ended_at = now, None
    row.archive, row.archive_sha256 = archive, archive_sha256
    # A message of our own keeps the numbers of those that go from being given away again.
    session.add(
        InboxMessage(
            id=uuid4(),
            source=RETENTION,
            domain="athanor",
            kind=REMOVED,
            flow=RETENTION,
            key="",
            payload={"grid_uuid": str(grid), "archive": archive},
            state=DeliveryState.DONE,
            available_at=now,
            received_at=now,
            done_at=now,
        )
    )
    session.flush()


def cuts(grid: UUID, *, now: datetime) -> list[Cut]:
    """Return what becomes of a session's rows, in the order in which it can be done."""
    agents = select(col(AgentSession.session_id)).where(agents_of(grid))
    told = col(Instruction.session_id).in_(agents)
    acknowledged, archived = conditions.acknowledged(), conditions.archived(now)
    answered = exists().where(
        col(Instruction.session_id) == col(AgentSession.session_id), conditions.acknowledged()
    )
    detached = {
        "grid_uuid": None,
        "acquisition_uuid": None,
        "experimental_parameters": {**archived, "grid_uuid": str(grid)},
    }
    return [
        Cut(
            Instruction,
            and_(told, acknowledged, ~conditions.is_archived(col(Instruction.payload))),
            {"payload": archived, "evidence": [], "extra": None},
        ),
        Cut(Instruction, and_(told, ~acknowledged)),
        Cut(AgentConnection, col(AgentConnection.session_id).in_(agents)),
        Cut(AgentLog, col(AgentLog.session_id).in_(agents)),
        *(_cut(one, grid) for one in BRANCHES),
        Cut(AgentSession, and_(agents_of(grid), answered), detached),
        Cut(AgentSession, and_(agents_of(grid), ~answered)),
        _cut(DRAINS, grid),
    ]


def _cut(branch: Branch, grid: UUID) -> Cut:
    if branch.parents is None:
        return Cut(branch.table, branch.belongs(grid))
    column, values = branch.parents.column, branch.parents.of(grid)
    return Cut(branch.table, branch.belongs(grid), column=column, values=values)


def count(session: Session, grid: UUID, *, now: datetime) -> dict[str, int]:
    """Return how many rows of each table would go, or be kept for the audit."""
    found = {
        one.name: count_where(session, one.table, one.condition) for one in cuts(grid, now=now)
    }
    found[ROOT.name] = count_where(session, ROOT.table, ROOT.belongs(grid))
    alone = _is_alone(session, grid)
    found[ACQUISITION.name] = int(found[ROOT.name] and alone)
    return {name: number for name, number in found.items() if number}


def parts(session: Session, one: Cut, *, limit: int) -> list[ColumnElement[bool]]:
    """Return the conditions of a cut's parts, none of which is looked at twice."""
    if one.column is None:
        return [one.condition]
    values = list(session.scalars(one.values))
    return [one_of(session, one.column, part) for part in chunks(values, min(limit, CHUNK))]


def cut(session: Session, one: Cut, part: ColumnElement[bool], *, limit: int) -> int:
    """Do a step of a part of a cut; return how many rows it was, less than the limit at the end."""
    return ageing.some(session, one.table, part, limit=limit, change=one.change)


def end(
    session: Session, grid: UUID, *, now: datetime, before: Mapping[str, int]
) -> dict[str, int]:
    """Delete the session itself, when nothing of it is left; return what went.

    `before` is what went in earlier transactions, for the audit.
    """
    alone = _is_alone(session, grid)
    acquisition = session.scalar(
        select(col(Grid.acquisition_uuid)).where(col(Grid.uuid) == grid).with_for_update()
    )
    if acquisition is None:  # another run was first
        return {}
    session.execute(delete(SessionRestore).where(col(SessionRestore.grid_uuid) == grid))
    session.execute(delete(Grid).where(col(Grid.uuid) == grid))
    gone = {ROOT.name: 1}
    if alone:
        session.execute(delete(Acquisition).where(col(Acquisition.uuid) == acquisition))
        gone[ACQUISITION.name] = 1
    session.execute(
        update(SessionRemoval).where(col(SessionRemoval.grid_uuid) == grid).values(ended_at=now)
    )
    removal = session.get_one(SessionRemoval, grid)
    rows = {table: number for table, number in {**before, **gone}.items() if number}
    told = {"name": removal.name, "archive": removal.archive, "rows": rows}
    audit.note(session, ROOT.name, grid, before=told)
    return gone


def _is_alone(session: Session, grid: UUID) -> bool:
    """Return whether a session's acquisition has no other grid."""
    mine = select(col(Grid.acquisition_uuid)).where(col(Grid.uuid) == grid).scalar_subquery()
    others = select(func.count()).where(col(Grid.acquisition_uuid) == mine, col(Grid.uuid) != grid)
    return not session.scalar(others)
