"""From the models' predictions and weights to one score per hole."""

from typing import Final

import numpy as np

from domains.cryoem.planning import Floats

#: What stands for a prediction that is missing: as likely good as not.
UNKNOWN: Final = 0.5
#: Rounding alone leaves a sum of weights this near to 1.
_ROUNDING: Final = 1e-9


def overall(predictions: Floats, weights: Floats) -> Floats:
    """Return the overall score (N,) in 0..1 of each hole, never NaN.

    Per metric s = Σ w·p over the models, with 0.5 for a prediction that is missing; over the
    metrics the geometric mean of s. What the weights of a metric lack of 1 counts as a model
    that predicts nothing, so that without models or metrics each score is 0.5.

    Args:
        predictions: (M, K, N) in 0..1 of M models, K metrics and N holes; NaN where missing.
        weights: (M, K); NaN where a model has none.
    """
    models, metrics, holes = predictions.shape
    score = np.full(holes, 1.0 if metrics else UNKNOWN)
    in_force = np.nan_to_num(weights, nan=0.0)
    for metric in range(metrics):
        missing = 1.0 - float(in_force[:, metric].sum())
        mean = np.full(holes, UNKNOWN * missing if missing > _ROUNDING else 0.0)
        for model in range(models):
            weight = in_force[model, metric]
            if weight:
                predicted = predictions[model, metric]
                mean += weight * np.where(np.isfinite(predicted), predicted, UNKNOWN)
        # The root of each, not of the product, which may underflow.
        score *= np.clip(mean, 0.0, 1.0) ** (1.0 / metrics)
    return score
