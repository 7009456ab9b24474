"""When a grid's order is to be made anew: asked for in the rows of those who know, done once.

Whoever changes what an order rests on writes the moment into `grid_plan.refresh_wanted_at`, in
the same transaction, always anew. A refresh that read that moment takes it out in its own
transaction only if it is still the same: what was asked for meanwhile stays.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlmodel import Session, col

from domains.cryoem.planners import PlannerName
from models import audit
from models.cryoem.weight_tables import GridPlan
from models.sql import insert_or_replace


def want(session: Session, grids: Iterable[UUID], *, now: datetime) -> None:
    """Note that the order of grids is out of date; `refresh-scores` takes it from there."""
    rows = [{"grid_uuid": grid, "refresh_wanted_at": now} for grid in sorted(grids)]
    insert_or_replace(session, GridPlan, rows, unique=["grid_uuid"])


def plan_of(session: Session, grid: UUID) -> GridPlan:
    """Return how the grid is planned; what was never stored is empty."""
    found = session.get(GridPlan, grid)
    return GridPlan(grid_uuid=grid) if found is None else found


def wanted_at(session: Session, grid: UUID) -> datetime | None:
    """Return when a new order was asked for last; None when the order is up to date."""
    statement = select(col(GridPlan.refresh_wanted_at)).where(col(GridPlan.grid_uuid) == grid)
    return session.scalar(statement)


def is_wanted(session: Session, grid: UUID) -> bool:
    """Return whether the grid's order is out of date."""
    return wanted_at(session, grid) is not None


def grids_wanted(session: Session, *, before: datetime) -> list[UUID]:
    """Return the grids whose order is out of date and was made last before a moment."""
    refreshed = col(GridPlan.refreshed_at)
    return list(
        session.scalars(
            select(col(GridPlan.grid_uuid)).where(
                col(GridPlan.refresh_wanted_at).is_not(None),
                or_(refreshed.is_(None), refreshed < before),
            )
        )
    )


def done(session: Session, grid: UUID, *, seen: datetime | None, now: datetime) -> None:
    """Note that the order was made of what had been asked for by then."""
    row = {"grid_uuid": grid, "refreshed_at": now}
    insert_or_replace(session, GridPlan, [row], unique=["grid_uuid"])
    if seen is not None:
        session.execute(
            update(GridPlan)
            .where(col(GridPlan.grid_uuid) == grid, col(GridPlan.refresh_wanted_at) == seen)
            .values(refresh_wanted_at=None)
            .execution_options(synchronize_session=False)
        )


def choose(session: Session, grid: UUID, planner: PlannerName | None, *, now: datetime) -> None:
    """Set who plans the grid, None for what the settings say, and ask for a new order."""
    was = session.scalar(select(col(GridPlan.planner)).where(col(GridPlan.grid_uuid) == grid))
    row = {"grid_uuid": grid, "planner": planner, "refresh_wanted_at": now}
    insert_or_replace(session, GridPlan, [row], unique=["grid_uuid"])
    before, after = {"planner": was}, {"planner": planner}
    audit.note(session, "grid_plan", grid, before=before, after=after)
