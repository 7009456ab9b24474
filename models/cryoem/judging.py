"""Judge measured values: how good each is beside what its grid measured before it.

Each message that measures a metric is judged once, in order of `message_seq` within its
batch; one that had to wait for its micrograph is judged when it is worked on. A micrograph that
is measured again is judged again, beside its own earlier value too: the history is append-only
(`docs/decisions/0011-weights-as-a-running-account.md`).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem.quality import Statistics, judge_in_turn
from models.cryoem.decision_tables import QualityMetric
from models.cryoem.processing_tables import Measurement
from models.cryoem.weight_tables import MetricStatistics
from models.sql import chunks, insert_ignore, insert_or_replace, one_of

#: A grid and a metric: what has statistics and weights of its own.
Ground = tuple[UUID, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of a metric that a message brought, and where it was measured."""

    seq: int
    message: UUID
    metric: str
    value: float
    micrograph: UUID
    hole: UUID
    square: UUID
    grid: UUID
    #: When the message came in.
    received_at: datetime

    @property
    def ground(self) -> Ground:
        """Whose statistics it joins."""
        return self.grid, self.metric


@dataclass(frozen=True, slots=True)
class Judged:
    """A value that was judged just now."""

    sample: Sample
    #: 0..1; from 0.5 on it is good.
    quality: float
    #: The how manieth value of its grid and metric it is.
    step: int


class Verdicts(NamedTuple):
    """What judging a batch of values found."""

    #: In order of message for each grid and metric.
    judged: list[Judged]
    #: `seq` of the messages that were recorded before, and so are not judged again.
    repeated: set[int]


def judge(session: Session, samples: Sequence[Sample], *, now: datetime) -> Verdicts:
    """Judge the values that were not judged yet, in order, and add them to the statistics.

    Whoever else judges the same grid and metric waits until the transaction ends. A metric that
    is not registered is not judged.
    """
    directions = _directions(session) if samples else {}
    samples = [one for one in samples if one.metric in directions]
    if not samples:
        return Verdicts([], set())
    statistics = locked(session, {one.ground for one in samples}, now=now)
    # Only now: whoever held the lock may have judged the same.
    known = _recorded(session, [one.seq for one in samples])
    by_ground: dict[Ground, list[Sample]] = {}
    for one in sorted(samples, key=lambda sample: sample.seq):
        if one.seq not in known:
            by_ground.setdefault(one.ground, []).append(one)
    judged: list[Judged] = []
    after: list[tuple[Ground, Statistics]] = []
    for ground, ones in by_ground.items():
        before = statistics[ground]
        qualities, changed = judge_in_turn(
            before, np.array([one.value for one in ones]), larger_is_better=directions[ground[1]]
        )
        after.append((ground, changed))
        judged += [
            Judged(one, float(quality), before.count + n)
            for n, (one, quality) in enumerate(zip(ones, qualities, strict=True), start=1)
        ]
    _write(session, after, now)
    return Verdicts(judged, known)


def _directions(session: Session) -> dict[str, bool]:
    statement = select(col(QualityMetric.name), col(QualityMetric.larger_is_better))
    return {name: larger for name, larger in session.execute(statement)}  # noqa: C416 (a Row is no pair to dict())


def locked(session: Session, grounds: set[Ground], *, now: datetime) -> dict[Ground, Statistics]:
    """Return the statistics; who else asks for them waits until the transaction ends."""
    found = _lock(session, grounds)
    missing = grounds - set(found)
    if missing:
        # In order, as all do, so that no two wait for each other.
        rows = [_row(ground, Statistics(), now) for ground in sorted(missing)]
        insert_ignore(session, MetricStatistics, rows, unique=["grid_uuid", "metric_name"])
        found = _lock(session, grounds)
    return found


def _lock(session: Session, grounds: Collection[Ground]) -> dict[Ground, Statistics]:
    found: dict[Ground, Statistics] = {}
    metrics = sorted({metric for _, metric in grounds})
    grid, metric = col(MetricStatistics.grid_uuid), col(MetricStatistics.metric_name)
    for part in chunks(sorted({grid for grid, _ in grounds})):
        statement = (
            select(
                grid,
                metric,
                col(MetricStatistics.count),
                col(MetricStatistics.mean),
                col(MetricStatistics.m2),
            )
            .where(one_of(session, grid, part), metric.in_(metrics))
            .order_by(grid, metric)
            .with_for_update()
        )
        for of_grid, name, count, mean, m2 in session.execute(statement):
            found[of_grid, name] = Statistics(count, mean, m2)
    return found


def _recorded(session: Session, seqs: Sequence[int]) -> set[int]:
    """Return which messages' values are stored already."""
    found: set[int] = set()
    for part in chunks(seqs):
        seq = col(Measurement.message_seq)
        found |= set(session.scalars(select(seq).where(one_of(session, seq, part))))
    return found


def _write(session: Session, after: Iterable[tuple[Ground, Statistics]], now: datetime) -> None:
    rows = [_row(ground, statistics, now) for ground, statistics in after]
    insert_or_replace(session, MetricStatistics, rows, unique=["grid_uuid", "metric_name"])


def _row(ground: Ground, statistics: Statistics, now: datetime) -> dict[str, object]:
    grid, metric = ground
    return {
        "grid_uuid": grid,
        "metric_name": metric,
        "count": statistics.count,
        "mean": statistics.mean,
        "m2": statistics.m2,
        "updated_at": now,
    }
