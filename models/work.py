"""Claims on leased rows, the same for inbox and outbox (rule 2 of the design)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlmodel import Session, col

from core.errors import LeaseLost
from models.base import DeliveryState, LeasedRow
from models.sql import chunks, one_of, table_of

Row = TypeVar("Row", bound=LeasedRow)


@dataclass(frozen=True)
class Lease:
    """Who holds claimed rows, and the fence that proves it."""

    holder: str
    fence: int


def claimable(model: type[LeasedRow], now: datetime, max_attempts: int) -> ColumnElement[bool]:
    """Return the condition of a row that may be claimed now."""
    return and_(
        or_(
            and_(
                col(model.state) == DeliveryState.PENDING,
                col(model.available_at) <= now,
            ),
            and_(
                col(model.state) == DeliveryState.CLAIMED,
                col(model.lease_expires_at) < now,
            ),
        ),
        col(model.attempts) < max_attempts,
    )


def claim(
    session: Session,
    model: type[Row],
    *where: ColumnElement[bool],
    holder: str,
    now: datetime,
    lease_seconds: float,
    limit: int,
    max_attempts: int,
) -> tuple[Lease, list[Row]]:
    """Claim up to `limit` rows in order of arrival; return the lease and the rows."""
    wanted = (
        select(model)
        .where(claimable(model, now, max_attempts), *where)
        .order_by(col(model.seq))
        .limit(limit)
        # Ignored by SQLite, whose writers come one at a time anyway.
        .with_for_update(skip_locked=True)
    )
    rows = list(session.scalars(wanted))
    # One fence for the whole claim, above any that its rows have had.
    lease = Lease(holder, 1 + max((row.fence for row in rows), default=0))
    update_rows(
        session,
        model,
        [row.seq for row in rows],
        **claimed(
            model, holder=holder, fence=lease.fence, until=now + timedelta(seconds=lease_seconds)
        ),
    )
    # What is handed out is what stood before the claim: callers read `attempts` as earlier ones.
    session.expunge_all()
    return lease, rows


def claimed(
    model: type[LeasedRow], *, holder: str, fence: ColumnElement[int] | int, until: datetime
) -> dict[str, Any]:
    """Return the columns of rows that are being claimed."""
    return {
        "state": DeliveryState.CLAIMED,
        "attempts": col(model.attempts) + 1,
        "claimed_by": holder,
        "fence": fence,
        "lease_expires_at": until,
    }


def lock(
    session: Session, model: type[Row], ids: Collection[UUID], *states: DeliveryState
) -> list[Row]:
    """Return those of the rows that are in one of the states, locked until the commit.

    They stay as they are read, whatever is written later: callers tell what was before.
    """
    rows = list(
        session.scalars(
            select(model)
            .where(table_of(model).c.id.in_(ids), col(model.state).in_(states))
            .order_by(col(model.seq))
            .with_for_update()
        )
    )
    session.expunge_all()
    return rows


def update_rows(
    session: Session,
    model: type[LeasedRow],
    seqs: Collection[int | None],
    *where: ColumnElement[bool],
    **values: Any,
) -> int:
    """Set columns of those of the rows that fulfil the conditions; return how many did."""
    updated = 0
    for part in chunks(list(seqs)):
        result = session.execute(
            update(model)
            .where(one_of(session, col(model.seq), part), *where)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        updated += result.rowcount  # pyright: ignore[reportAttributeAccessIssue]
    return updated


def settle(
    session: Session,
    model: type[Row],
    seqs: Collection[int | None],
    lease: Lease,
    **values: Any,
) -> None:
    """Set columns of claimed rows and let go of them.

    Raises:
        LeaseLost: One of them is not held under this lease any more; nothing may be kept.
    """
    settled = update_rows(
        session,
        model,
        seqs,
        col(model.state) == DeliveryState.CLAIMED,
        col(model.claimed_by) == lease.holder,
        col(model.fence) == lease.fence,
        claimed_by=None,
        lease_expires_at=None,
        **values,
    )
    if settled != len(seqs):
        raise LeaseLost(
            f"{len(seqs) - settled} of {len(seqs)} rows are no longer held by "
            f"{lease.holder} (fence {lease.fence})"
        )


def bury_exhausted(session: Session, model: type[Row], *, now: datetime, max_attempts: int) -> int:
    """Declare dead what was claimed too often and never finished; return how many."""
    result = session.execute(
        update(model)
        .where(
            col(model.attempts) >= max_attempts,
            or_(
                col(model.state) == DeliveryState.PENDING,
                and_(
                    col(model.state) == DeliveryState.CLAIMED,
                    col(model.lease_expires_at) < now,
                ),
            ),
        )
        .values(
            state=DeliveryState.DEAD,
            claimed_by=None,
            lease_expires_at=None,
            error=func.coalesce(col(model.error), f"gave up after {max_attempts} attempts"),
        )
        .execution_options(synchronize_session=False)
    )
    return result.rowcount  # pyright: ignore[reportAttributeAccessIssue]


def count_by_state(session: Session, model: type[Row]) -> dict[str, int]:
    """Return how many rows are in each state."""
    found: Sequence[Any] = session.execute(
        select(col(model.state), func.count()).group_by(col(model.state))
    ).all()
    return dict(found)
