"""Who works on which key: at most one run drains a flow's key, and one ring launches it (rule 6).

States of a row: `idle` (nobody), `rung` (a run was asked for), `running` (a run drains).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlmodel import Field, Session, SQLModel, col

from core.errors import LeaseLost
from models import base  # noqa: F401 (names constraints, so it goes before any table)
from models.sql import insert, insert_ignore

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


@dataclass(frozen=True)
class DrainLease:
    """The right to drain a key, until `finish` or until it is not renewed."""

    flow: str
    key: str
    holder: str
    fence: int


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
        expires_at=now + timedelta(seconds=RING_LOST_AFTER),
    )
    statement = statement.on_conflict_do_update(
        index_elements=["flow", "key"],
        set_={"state": DrainState.RUNG, "expires_at": statement.excluded.expires_at},
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
    row = {"flow": flow, "key": key, "state": DrainState.IDLE, "fence": 0, "expires_at": now}
    insert_ignore(session, Drain, [row], unique=["flow", "key"])
    fence = session.scalar(
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
        )
        .returning(col(Drain.fence))
        .execution_options(synchronize_session=False)
    )
    return None if fence is None else DrainLease(flow, key, holder, fence)


def _held(lease: DrainLease) -> ColumnElement[bool]:
    return and_(
        col(Drain.flow) == lease.flow,
        col(Drain.key) == lease.key,
        col(Drain.state) == DrainState.RUNNING,
        col(Drain.holder) == lease.holder,
        col(Drain.fence) == lease.fence,
    )


def hold(session: Session, lease: DrainLease, *, now: datetime, lease_seconds: float) -> None:
    """Renew the lease, and lock it until this transaction ends.

    Every transaction of a drain begins with this: it keeps a run that lost its key
    from writing, and `ring` from missing the moment at which the run ends.

    Raises:
        LeaseLost: Another run has taken the key.
    """
    held = session.scalar(
        update(Drain)
        .where(_held(lease))
        .values(expires_at=now + timedelta(seconds=lease_seconds))
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
