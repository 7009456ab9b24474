"""Who works on which key: at most one run drains a flow's key, and one ring launches it (rule 6).

States of a row: `idle` (nobody), `rung` (a run was asked for), `running` (a run drains).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_, select, update
from sqlmodel import Field, Session, SQLModel, col

from core.errors import LeaseLost
from models import base  # noqa: F401 (names constraints, so it goes before any table)
from models.sql import insert, insert_ignore

#: So many crashes in a row, and the messages are worked on one by one, to find the culprit.
CRASHES_UNTIL_CAREFUL = 2
#: For so many messages: more than any batch that can have crashed.
CAREFUL_FOR = 1_000

#: A run that was asked for and has not begun after so long is asked for again, in seconds.
RING_LOST_AFTER = 60.0


class DrainState(StrEnum):
    """Who is on a key."""

    IDLE = "idle"
    RUNG = "rung"
    RUNNING = "running"


class Drain(SQLModel, table=True):
    """One flow's work on one key."""

    __tablename__ = "drain"  # pyright: ignore[reportAssignmentType]

    flow: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    state: str = DrainState.IDLE
    holder: str | None = None
    fence: int = 0
    #: Until when a ring or a run is believed in.
    expires_at: datetime
    #: How many runs in a row lost the key without finishing a batch.
    crashes: int = 0
    #: How many messages are still to be worked on one by one.
    careful: int = 0


@dataclass(frozen=True)
class DrainLease:
    """The right to drain a key, until `finish` or until it is not renewed."""

    flow: str
    key: str
    holder: str
    fence: int
    #: Messages to be worked on one by one first, since runs before this one crashed.
    careful: int = 0


def ring(session: Session, *, flow: str, key: str, now: datetime) -> bool:
    """Ask for a run on the key; return whether one must be launched.

    False means that one is asked for or at work already, which will see what is
    committed with this transaction.
    """
    statement = insert(session, Drain).values(
        flow=flow,
        key=key,
        state=DrainState.RUNG,
        fence=0,
        crashes=0,
        careful=0,
        expires_at=now + timedelta(seconds=RING_LOST_AFTER),
    )
    statement = statement.on_conflict_do_update(
        index_elements=["flow", "key"],
        set_={
            "state": DrainState.RUNG,
            "expires_at": statement.excluded.expires_at,
            **_counted_crash(),
        },
        where=or_(col(Drain.state) == DrainState.IDLE, col(Drain.expires_at) < now),
    ).returning(col(Drain.key))
    return session.execute(statement).first() is not None


def unring(session: Session, *, flow: str, key: str) -> None:
    """Take back a ring whose launch failed, so that the next one launches."""
    session.execute(
        update(Drain)
        .where(col(Drain.flow) == flow, col(Drain.key) == key, col(Drain.state) == DrainState.RUNG)
        .values(state=DrainState.IDLE)
    )


def begin(
    session: Session, *, flow: str, key: str, holder: str, now: datetime, lease_seconds: float
) -> DrainLease | None:
    """Take the key for one run; None when another run is at work on it."""
    row = {
        "flow": flow,
        "key": key,
        "state": DrainState.IDLE,
        "fence": 0,
        "expires_at": now,
        "crashes": 0,
        "careful": 0,
    }
    insert_ignore(session, Drain, [row], unique=["flow", "key"])
    taken = session.execute(
        update(Drain)
        .where(
            col(Drain.flow) == flow,
            col(Drain.key) == key,
            or_(
                col(Drain.state) != DrainState.RUNNING,
                and_(col(Drain.state) == DrainState.RUNNING, col(Drain.expires_at) < now),
            ),
        )
        .values(
            state=DrainState.RUNNING,
            holder=holder,
            fence=col(Drain.fence) + 1,
            expires_at=now + timedelta(seconds=lease_seconds),
            **_counted_crash(),
        )
        .returning(col(Drain.fence), col(Drain.careful))
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if taken is None:
        return None
    return DrainLease(flow, key, holder, taken.fence, taken.careful)


def _counted_crash() -> dict[str, Any]:
    """Return the changes of a row that is taken from a run whose lease ran out.

    Its process died, or hung; that its messages are to blame is likely only when the next
    run ends in the same way.
    """
    crashes = col(Drain.crashes) + case((col(Drain.state) == DrainState.RUNNING, 1), else_=0)
    again = and_(col(Drain.state) == DrainState.RUNNING, crashes >= CRASHES_UNTIL_CAREFUL)
    return {
        "crashes": crashes,
        "careful": case((again, CAREFUL_FOR), else_=col(Drain.careful)),
    }


def _held(lease: DrainLease) -> ColumnElement[bool]:
    return and_(
        col(Drain.flow) == lease.flow,
        col(Drain.key) == lease.key,
        col(Drain.state) == DrainState.RUNNING,
        col(Drain.holder) == lease.holder,
        col(Drain.fence) == lease.fence,
    )


def hold(
    session: Session,
    lease: DrainLease,
    *,
    now: datetime,
    lease_seconds: float,
    handled: int | None = None,
) -> None:
    """Renew the lease, and lock it until this transaction ends.

    `handled` messages are done when this transaction is committed: crashes before it are over.

    Every transaction of a drain begins with this: it keeps a run that lost its key
    from writing, and `ring` from missing the moment at which the run ends.

    Raises:
        LeaseLost: Another run has taken the key.
    """
    progress = {}
    if handled is not None:
        left = col(Drain.careful) - handled
        progress = {
            "careful": case((left > 0, left), else_=0),
            "crashes": case((left > 0, col(Drain.crashes)), else_=0),
        }
    held = session.scalar(
        update(Drain)
        .where(_held(lease))
        .values(expires_at=now + timedelta(seconds=lease_seconds), **progress)
        .returning(col(Drain.key))
        .execution_options(synchronize_session=False)
    )
    if held is None:
        raise LeaseLost(f"another run has taken over {lease.flow} of {lease.key}")


def finish(session: Session, lease: DrainLease) -> None:
    """Let go of the key; a lease lost meanwhile needs no letting go."""
    session.execute(
        update(Drain)
        .where(_held(lease))
        .values(state=DrainState.IDLE, holder=None)
        .execution_options(synchronize_session=False)
    )


def is_quiet(session: Session, *, flow: str, key: str, now: datetime) -> bool:
    """Return whether nobody is on the key, nor asked for."""
    row = session.execute(
        select(Drain).where(col(Drain.flow) == flow, col(Drain.key) == key)
    ).scalar_one_or_none()
    return row is None or row.state == DrainState.IDLE or row.expires_at < now
