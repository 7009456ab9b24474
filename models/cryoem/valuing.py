"""What several predictions of a square or hole come to: the score by the weights in force."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem.planning import Floats
from domains.cryoem.scores import overall
from models.cryoem import weights
from models.cryoem.decision_tables import CurrentPrediction, Level
from models.sql import chunks, one_of

#: So many digits of a score are the models'; beyond them is what roots and products add.
_DIGITS: Final = 12

#: By model and metric ('' for all metrics).
Said = Mapping[tuple[str, str], float]


def scores_of(
    session: Session,
    grid: UUID,
    said: Mapping[UUID, Said],
    square_of: Mapping[UUID, UUID] | None = None,
) -> dict[UUID, float]:
    """Return the score of each square or hole by what models say of it, 0..1.

    Args:
        session: The transaction.
        grid: The grid on which all of them are.
        said: What is said of each.
        square_of: Of holes, the square, whose predictions stand in for those that a hole lacks.
    """
    in_force = weights.in_force(session, grid)
    metrics = sorted(in_force)
    models = sorted({model for of_metric in in_force.values() for model in of_metric})
    row = {model: n for n, model in enumerate(models)}
    of_squares = _of_squares(session, set((square_of or {}).values()))
    values = np.full((len(models), len(metrics), len(said)), np.nan)
    for place, (target, own) in enumerate(said.items()):
        square = square_of[target] if square_of else None
        for source in (of_squares.get(square, {}) if square else {}, own):
            # Those for all metrics first, so that one for a metric goes over them.
            for (model, metric), value in sorted(source.items(), key=lambda one: one[0][1]):
                if model in row:
                    columns = slice(None) if metric == "" else metrics.index(metric)
                    values[row[model], columns, place] = value
    weighed = np.array(
        [[in_force[metric].get(model, 0.0) for metric in metrics] for model in models]
    )
    found = comparable(overall(values, weighed.reshape(len(models), len(metrics))))
    return dict(zip(said, found.tolist(), strict=True))


def comparable(scores: Floats) -> Floats:
    """Return scores without what rounding adds to them, to be held against a threshold."""
    return np.round(scores, _DIGITS)


def _of_squares(session: Session, squares: set[UUID]) -> dict[UUID, dict[tuple[str, str], float]]:
    found: dict[UUID, dict[tuple[str, str], float]] = {}
    target = col(CurrentPrediction.target_uuid)
    for part in chunks(sorted(squares)):
        statement = select(
            target,
            col(CurrentPrediction.model_name),
            col(CurrentPrediction.metric_name),
            col(CurrentPrediction.value),
        ).where(one_of(session, target, part), col(CurrentPrediction.level) == Level.SQUARE)
        for square, model, metric, value in session.execute(statement):
            found.setdefault(square, {})[model, metric] = value
    return found
