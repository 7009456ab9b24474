"""Weigh models by how well they had predicted what was measured.

A model's prediction for a micrograph is the current one of its hole, for the metric or else for
all metrics; without one, that of the hole's square in the same way.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from math import nan
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem.planning import Floats
from domains.cryoem.weights import updated_in_turn
from models.cryoem import weights
from models.cryoem.decision_tables import CurrentPrediction
from models.cryoem.judging import Ground, Judged, Sample
from models.cryoem.weight_tables import ModelWeightHistory
from models.sql import chunks, insert_ignore, one_of

#: By square or hole and metric ('' for all of them), then by model.
_Predicted = dict[tuple[UUID, str], dict[str, float]]
_NOTHING: dict[str, float] = {}


def weigh(session: Session, judged: Sequence[Judged], *, now: datetime) -> set[UUID]:
    """Weigh the models by values that were judged in this transaction, in the same order.

    Models that predict for a grid and have no weight there yet join with the first value of the
    batch. Each value leaves a row of history for each model in force.

    Returns:
        The grids on which a weight changed.
    """
    by_ground: dict[Ground, list[Judged]] = {}
    for one in judged:
        by_ground.setdefault(one.sample.ground, []).append(one)
    if not by_ground:
        return set()
    before = weights.stored(session, sorted({grid for grid, _ in by_ground}))
    begin = weights.completed(session, list(by_ground), before)
    predicted = _predicted(session, [one.sample for one in judged if begin[one.sample.ground]])
    history: list[dict[str, Any]] = []
    after: weights.Weights = {}
    for ground, ones in by_ground.items():
        if not begin[ground]:
            continue
        if set(begin[ground]) - set(before.get(ground, ())):
            weights.note(session, ground, begin[ground], step=ones[0].step - 1, now=now)
        models = sorted(begin[ground])
        predictions = np.array([_of(one.sample, models, predicted) for one in ones])
        turns = updated_in_turn(
            np.array([begin[ground][model] for model in models]),
            predictions,
            np.array([one.quality for one in ones]),
        )
        after[ground] = dict(zip(models, turns[-1].tolist(), strict=True))
        history += _history(ones, models, predictions, turns, now)
    weights.write(session, after, now=now)
    insert_ignore(
        session, ModelWeightHistory, history, unique=["message_seq", "metric_name", "model_name"]
    )
    return {ground[0] for ground, result in after.items() if result != before.get(ground)}


def _predicted(session: Session, samples: Sequence[Sample]) -> _Predicted:
    """Return the current predictions of the samples' holes and squares."""
    targets = {one.hole for one in samples} | {one.square for one in samples}
    metrics = sorted({"", *(one.metric for one in samples)})
    target, metric = col(CurrentPrediction.target_uuid), col(CurrentPrediction.metric_name)
    found: _Predicted = {}
    for part in chunks(list(targets)):
        statement = select(
            target, metric, col(CurrentPrediction.model_name), col(CurrentPrediction.value)
        ).where(one_of(session, target, part), metric.in_(metrics))
        for of_target, name, model, value in session.execute(statement):
            found.setdefault((of_target, name), {})[model] = value
    return found


def _of(sample: Sample, models: Sequence[str], predicted: _Predicted) -> list[float]:
    """Return each model's prediction for a sample; NaN for none."""
    # What counts most comes last.
    merged = {
        **predicted.get((sample.square, ""), _NOTHING),
        **predicted.get((sample.square, sample.metric), _NOTHING),
        **predicted.get((sample.hole, ""), _NOTHING),
        **predicted.get((sample.hole, sample.metric), _NOTHING),
    }
    return [merged.get(model, nan) for model in models]


def _history(
    ones: Sequence[Judged],
    models: Sequence[str],
    predictions: Floats,
    turns: Floats,
    now: datetime,
) -> Iterable[dict[str, Any]]:
    for one, predicted, turn in zip(ones, predictions.tolist(), turns.tolist(), strict=True):
        for model, prediction, weight in zip(models, predicted, turn, strict=True):
            yield {
                "message_seq": one.sample.seq,
                "metric_name": one.sample.metric,
                "model_name": model,
                "grid_uuid": one.sample.grid,
                "micrograph_uuid": one.sample.micrograph,
                "step": one.step,
                "weight": weight,
                "prediction": None if prediction != prediction else prediction,
                "quality": one.quality,
                "changed_at": now,
            }
