"""Weigh models by qualities that nobody measured: to try out what weights do."""

from collections.abc import Sequence
from datetime import datetime
from math import nan
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from core.ids import ATHANOR, derived
from models import audit
from models.cryoem.judging import Judged, Sample, locked
from models.cryoem.tables import Hole, Micrograph
from models.cryoem.weighing import weigh
from models.cryoem.weight_tables import GridPlan
from models.cryoem.weights import stored
from models.sql import chunks, insert_or_replace

#: Bits of a uuid that are left out, so that JSON's numbers hold the others.
_BEYOND_JSON = 128 - 52


def micrographs(session: Session, grid: UUID) -> list[tuple[UUID, UUID, UUID]]:
    """Return a grid's micrographs in order of their names, each with its hole and square."""
    statement = (
        select(col(Micrograph.uuid), col(Hole.uuid), col(Hole.square_uuid))
        .join(Hole, col(Hole.uuid) == col(Micrograph.hole_uuid))
        .where(col(Micrograph.grid_uuid) == grid, col(Micrograph.deleted_at).is_(None))
        .order_by(col(Micrograph.stem))
    )
    return list(session.execute(statement).tuples())


def suppose(
    session: Session,
    grid: UUID,
    metric: str,
    qualities: Sequence[tuple[tuple[UUID, UUID, UUID], float]],
    *,
    now: datetime,
) -> bool:
    """Weigh the models as if micrographs had these qualities, in turn; tell whether any changed.

    Each leaves its row of history under a number below zero, as no message brought it. No value
    is stored and the metric's statistics stay as they are.

    Args:
        session: The transaction.
        grid: The grid.
        metric: The quality metric.
        qualities: Micrograph, hole and square, and a quality 0..1 for them.
        now: When.
    """
    ground = (grid, metric)
    step = locked(session, {ground}, now=now)[ground].count
    before = stored(session, [grid]).get(ground, {})
    changed = False
    numbered = list(enumerate(qualities, start=1))
    for part in chunks(numbered):
        judged = [
            Judged(_sample(ground, named, number, now), quality, step + number)
            for number, (named, quality) in part
        ]
        changed = bool(weigh(session, judged, now=now)) or changed
    if changed:
        after = stored(session, [grid]).get(ground, {})
        audit.note(session, "model_weight", f"{grid} {metric}", before=before or None, after=after)
        wanted = [{"grid_uuid": grid, "refresh_wanted_at": now}]
        insert_or_replace(session, GridPlan, wanted, unique=["grid_uuid"])
    return changed


def _sample(
    ground: tuple[UUID, str], named: tuple[UUID, UUID, UUID], number: int, now: datetime
) -> Sample:
    grid, metric = ground
    micrograph, hole, square = named
    ident = derived(ATHANOR, "supposed", grid, metric, micrograph, number, now)
    return Sample(
        seq=-1 - (ident.int >> _BEYOND_JSON),
        message=ident,
        metric=metric,
        value=nan,
        micrograph=micrograph,
        hole=hole,
        square=square,
        grid=grid,
        received_at=now,
    )
