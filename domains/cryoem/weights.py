"""From a quality to the weights of the models that predicted it, for one grid and metric.

M = number of models in force there. Their weights are within 0..1 and sum to 1.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from domains.cryoem.planning import Floats

#: Rounding alone leaves a sum of weights this near to 1; what is further off is scaled again.
_ROUNDING: Final = 1e-12


def updated(weights: Floats, predictions: Floats, quality: float) -> Floats:
    """Return the weights (M,) after a measurement of this quality 0..1.

    A model that predicted p (predictions (M,), NaN for none) for the measured hole changes from
    w to w·(q·p + (1-q)·(1-p)); those who did are then scaled to the sum that they had, so that
    all sum to 1 and a model without a prediction keeps its weight. When nothing of those is left,
    all stay. Weights that do not sum to 1 are scaled before; if all are 0, they become equal.

    Raises:
        ValueError: a weight is negative or not finite, or a prediction or the quality is not
            within 0..1.
    """
    return updated_in_turn(weights, predictions[np.newaxis], np.array([quality]))[0]


def updated_in_turn(weights: Floats, predictions: Floats, qualities: Floats) -> Floats:
    """Return the weights (n, M) after each of n measurements, taken in turn.

    The same as `updated` one by one, with predictions (n, M), NaN for none, and qualities (n,).

    Raises:
        ValueError: a weight is negative or not finite, or a prediction or a quality is not
            within 0..1.
    """
    _check_weights(weights.tolist())
    if not np.all((predictions >= 0) & (predictions <= 1) | np.isnan(predictions)):
        raise ValueError("a prediction is not within 0..1")
    if not np.all((qualities >= 0) & (qualities <= 1)):
        raise ValueError("a quality is not within 0..1")
    current = weights.tolist()
    history: list[list[float]] = []
    for predicted, quality in zip(predictions.tolist(), qualities.tolist(), strict=True):
        current = _step(_summing_to_one(current), predicted, quality)
        history.append(current)
    return np.array(history, dtype=np.float64).reshape(predictions.shape)


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the models' initial weights, scaled so that they sum to 1; if all are 0, equal ones.

    Raises:
        ValueError: a weight is negative or not finite.
    """
    values = [float(weight) for weight in weights.values()]
    _check_weights(values)
    return dict(zip(weights, _summing_to_one(values), strict=True))


def _step(weights: list[float], predicted: Sequence[float], quality: float) -> list[float]:
    doubt = 1.0 - quality
    own: list[float] = []
    earned: list[float] = []
    for weight, p in zip(weights, predicted, strict=True):
        if p == p:  # not NaN
            own.append(weight)
            earned.append(weight * (quality * p + doubt * (1.0 - p)))
    total = math.fsum(earned)
    if total == 0.0:
        return weights
    # What the others leave is taken from their own weights, not as 1 minus the others' sum: that
    # would round a model with a very small weight down to none, for good.
    share = 1.0 if len(own) == len(weights) else min(math.fsum(own), 1.0)
    # Divided first: `share / total` overflows when little is left.
    scaled = iter([earning / total * share for earning in earned])
    return [
        next(scaled) if p == p else weight for weight, p in zip(weights, predicted, strict=True)
    ]


def _summing_to_one(weights: list[float]) -> list[float]:
    largest = max(weights, default=1.0)
    if largest == 0.0:
        return [1.0 / len(weights)] * len(weights)
    if not weights or (largest <= 1.0 and abs(math.fsum(weights) - 1.0) <= _ROUNDING):
        return weights
    # Divided by the largest first: a sum of large ones overflows.
    parts = [weight / largest for weight in weights]
    total = math.fsum(parts)
    return [part / total for part in parts]


def _check_weights(weights: list[float]) -> None:
    if not all(0.0 <= weight < math.inf for weight in weights):
        raise ValueError("a weight is negative or not finite")
