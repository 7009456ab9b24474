"""Record what image processing measured: the history of all, the current values, their quality.

A value that has a quality metric is judged in the same transaction (`judging`), the models are
weighed by it (`weighing`), and the grid's order is noted as out of date.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import MessageRejected
from domains.cryoem.metrics import METRIC_OF
from models import inbox
from models.cryoem import renamed
from models.cryoem.judging import Judged, Sample, judge
from models.cryoem.messages import Measurement as Measured
from models.cryoem.processing_tables import CurrentMeasurement, Measurement
from models.cryoem.tables import Hole, Micrograph
from models.cryoem.wanting import want
from models.cryoem.weighing import weigh
from models.inbox import Missing, Received
from models.sql import chunks, insert_ignore, insert_or_replace, one_of

Item = tuple[Received, Measured]


@dataclass
class Recorded:
    """What a batch of measurements did."""

    done: list[Received] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    #: The micrographs that were measured, each once.
    micrographs: list[UUID] = field(default_factory=list)
    values: int = 0
    #: The values that were judged, in order of their grid and metric.
    judged: list[Judged] = field(default_factory=list)
    #: Grids on which the weight of a model changed.
    weighed: set[UUID] = field(default_factory=set)


@dataclass(frozen=True)
class _Owner:
    grid: UUID
    hole: UUID
    square: UUID
    #: EPU's id of the hole.
    hole_id: int


def record(session: Session, items: Sequence[Item], *, now: datetime) -> Recorded:
    """Store the values of a batch of messages, judge them, and weigh the models by them.

    A message whose micrograph is not known yet is left out and listed in `waiting`.
    Repeating a batch changes nothing, and an older message never hides a newer one.

    Raises:
        MessageRejected: A message names another hole than the micrograph's.
    """
    recorded = Recorded()
    targets = {measured.target() for _, measured in items}
    owners = _owners(session, targets)
    names: renamed.Names = {}
    if len(owners) < len(targets):
        inbox.before_waiting(session)
        unknown = targets - set(owners)
        names = renamed.targets(session, unknown)
        owners |= _owners(session, {names.get(one, one) for one in unknown})
    rows: list[dict[str, Any]] = []
    samples: list[Sample] = []
    for message, measured in items:
        target = names.get(measured.target(), measured.target())
        owner = owners.get(target)
        if owner is None:
            recorded.waiting.append(Missing(message, "micrograph", str(target)))
            continue
        _check(measured, owner)
        recorded.done.append(message)
        rows += _rows(message, measured, target, owner)
        samples += _samples(message, measured, target, owner)
    recorded.values = len(rows)
    recorded.micrographs = list(dict.fromkeys(row["micrograph_uuid"] for row in rows))
    recorded.judged, repeated = judge(session, samples, now=now)
    recorded.weighed = weigh(session, recorded.judged, now=now)
    new = [row for row in rows if row["message_seq"] not in repeated]
    _write(session, new, recorded.judged)
    want(session, {one.sample.grid for one in recorded.judged}, now=now)
    return recorded


def _owners(session: Session, micrographs: Iterable[UUID]) -> dict[UUID, _Owner]:
    found: dict[UUID, _Owner] = {}
    hole, uuid = col(Micrograph.hole_uuid), col(Micrograph.uuid)
    statement = select(
        uuid, col(Micrograph.grid_uuid), hole, col(Hole.square_uuid), col(Hole.hole_id)
    )
    for part in chunks(list(micrographs)):
        rows = session.execute(
            statement.join(Hole, col(Hole.uuid) == hole).where(one_of(session, uuid, part))
        )
        found |= {micrograph: _Owner(*of) for micrograph, *of in rows}
    return found


def _check(measured: Measured, owner: _Owner) -> None:
    hole = measured.foilhole_id
    if hole is not None and hole != owner.hole_id:
        raise MessageRejected(
            f"foilhole_id: the micrograph does not show hole {hole}", fields=["foilhole_id"]
        )


def _rows(
    message: Received, measured: Measured, target: UUID, owner: _Owner
) -> Iterable[dict[str, Any]]:
    distribution = measured.distribution()
    for name, value in measured.values().items():
        yield {
            "message_seq": message.seq,
            "name": name,
            "micrograph_uuid": target,
            "grid_uuid": owner.grid,
            "metric_name": METRIC_OF.get(name),
            "value": float(value),
            "distribution": distribution,
            "message_uuid": message.id,
            "measured_at": message.received_at,
        }
        # One copy, with the message's first value.
        distribution = None


def _samples(
    message: Received, measured: Measured, target: UUID, owner: _Owner
) -> Iterable[Sample]:
    for name, value in measured.values().items():
        metric = METRIC_OF.get(name)
        if metric is not None:
            yield Sample(
                seq=message.seq,
                message=message.id,
                metric=metric,
                value=float(value),
                micrograph=target,
                hole=owner.hole,
                square=owner.square,
                grid=owner.grid,
                received_at=message.received_at,
            )


def _write(session: Session, rows: Sequence[dict[str, Any]], judged: Sequence[Judged]) -> None:
    quality = {(one.sample.seq, one.sample.metric): one.quality for one in judged}
    for row in rows:
        row["quality"] = quality.get((row["message_seq"], row["metric_name"]))
    insert_ignore(session, Measurement, rows, unique=["message_seq", "name"])
    latest = {
        (row["micrograph_uuid"], row["name"]): row
        for row in sorted(rows, key=lambda row: row["message_seq"])
    }
    # A message that waited must not overwrite a value that came in after it.
    insert_or_replace(
        session,
        CurrentMeasurement,
        list(latest.values()),
        unique=["micrograph_uuid", "name"],
        unless_newer="message_seq",
    )
