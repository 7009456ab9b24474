"""Measured metrics for Athena: named values of the hole's area, put in the outbox (rule 4)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select
from sqlmodel import Session, col

from core.ids import ATHANOR, derived
from domains.cryoem.metrics import CTF, MOTION
from models import outbox
from models.athena import AlgorithmResultType
from models.cryoem.decision_tables import AthenaArea
from models.cryoem.judging import Judged
from models.outbox import OutboxMessage
from models.sql import chunks, one_of

#: The deployment that sends them.
SUBMIT_VALUES: Final = "submit-values"
KIND: Final = "athena.value"

#: Metric → what Athena calls it (source: the Athena contract, which names no other).
NAME_OF: Final = {MOTION: AlgorithmResultType.MOTION_CORRECTION, CTF: AlgorithmResultType.CTF}


@dataclass(frozen=True)
class UnsentValue:
    """A value on its way out, as Athena is to be told it."""

    area_id: int
    name: str
    #: JSON, with the outbox row's id, by which it is found again.
    value: str
    measured_at: datetime


def put(session: Session, judged: Sequence[Judged], *, now: datetime) -> set[UUID]:
    """Put what Athena has a name for in the outbox; return the grids that it is about."""
    told = [one for one in judged if one.sample.metric in NAME_OF]
    if not told:
        return set()
    outbox.put(session, [_row(one) for one in told], now=now)
    return {one.sample.grid for one in told}


def _row(judged: Judged) -> dict[str, Any]:
    sample = judged.sample
    name = NAME_OF[sample.metric].value
    return {
        "id": derived(ATHANOR, KIND, name, sample.message),
        "domain": "cryoem",
        "kind": KIND,
        "flow": SUBMIT_VALUES,
        "key": str(sample.grid),
        "subject": f"{name}/{sample.micrograph}",
        "payload": {
            "name": name,
            "hole": str(sample.hole),
            "micrograph": str(sample.micrograph),
            "value": sample.value,
            "quality": judged.quality,
        },
        "caused_at": sample.received_at,
    }


def of_grid(grid: UUID) -> ColumnElement[bool]:
    """Return the condition of outbox rows that hold a grid's values."""
    return and_(col(OutboxMessage.flow) == SUBMIT_VALUES, col(OutboxMessage.key) == str(grid))


def as_sent(session: Session, rows: Sequence[OutboxMessage]) -> dict[UUID, UnsentValue]:
    """Return what to tell Athena, by outbox id; without those whose hole it does not know."""
    holes = {row.id: UUID(row.payload["hole"]) for row in rows}
    areas: dict[UUID, int] = {}
    for part in chunks(list(set(holes.values()))):
        statement = select(col(AthenaArea.area_uuid), col(AthenaArea.area_id)).where(
            one_of(session, col(AthenaArea.area_uuid), part),
            col(AthenaArea.registered_at).is_not(None),
        )
        areas |= {uuid: ident for uuid, ident in session.execute(statement)}  # noqa: C416 (a Row is no pair to dict())
    return {
        row.id: UnsentValue(
            areas[holes[row.id]],
            row.payload["name"],
            json.dumps(
                {
                    "id": str(row.id),
                    "value": row.payload["value"],
                    "quality": row.payload["quality"],
                    "micrograph": row.payload["micrograph"],
                }
            ),
            row.caused_at or row.created_at,
        )
        for row in rows
        if holes[row.id] in areas
    }


def id_in(value: str | None) -> UUID | None:
    """Return the outbox id that a value at Athena has; None for a value that is not ours."""
    try:
        said = json.loads(value or "")
    except ValueError:
        return None
    ident = said.get("id") if isinstance(said, dict) else None
    try:
        return UUID(ident) if isinstance(ident, str) else None
    except ValueError:
        return None
