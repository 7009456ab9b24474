"""What predictions tell apart: all models on one scale, between and within squares."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import logit

from domains.cryoem.planning import Floats, GridState

#: Predictions nearer to 0 or 1 say no more than this.
_SURE: Final = 0.005
#: A predictor that varies less than this tells nothing apart.
_CONSTANT: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Features:
    """Columns to regress outcomes on, and the prior of each coefficient.

    Columns: 1; the mean of all predictors between squares; their mean within squares; each
    predictor between squares; each within. Coefficients are log-odds per standard deviation.
    """

    #: (N, F)
    value: Floats
    #: (F,) prior mean and standard deviation.
    mean: Floats
    spread: Floats


@dataclass(frozen=True, slots=True)
class FeaturePrior:
    """What is believed of predictors before anything was measured.

    A predictor of AUC A separates good from bad by √2·Φ⁻¹(A) of its standard deviations within
    each kind: 0.8 stands for an AUC of about 0.7.
    """

    intercept: float = 0.0
    intercept_spread: float = 1.5
    #: Of the mean of all predictors.
    slope: float = 0.8
    slope_spread: float = 0.6
    #: How much a single predictor may differ from the others.
    own_spread: float = 0.3


def features(grid: GridState, prior: FeaturePrior) -> Features:
    """Return the features of a grid's N holes.

    Each predictor (a model's prediction of a metric) is taken on the log-odds scale and
    standardised over the grid, which removes its offset and slope: what a model's numbers mean
    is learned from outcomes. A missing prediction counts as the grid's mean.
    """
    holes = len(grid.square)
    predictors = _standardised(_predictors(grid))
    if not len(predictors):
        ones = np.ones((holes, 1))
        return Features(ones, np.array([prior.intercept]), np.array([prior.intercept_spread]))
    between, within = _split(predictors, grid)
    together = predictors.mean(axis=0)
    scale = max(float(together.std()), _CONSTANT)
    means = np.stack([between.mean(axis=0), within.mean(axis=0)]) / scale
    own = np.full(2 * len(predictors), prior.own_spread)
    return Features(
        value=np.concatenate([np.ones((1, holes)), means, between, within]).T.copy(),
        mean=np.concatenate([[prior.intercept, prior.slope, prior.slope], 0 * own]),
        spread=np.concatenate(
            [[prior.intercept_spread, prior.slope_spread, prior.slope_spread], own]
        ),
    )


def _predictors(grid: GridState) -> Floats:
    """Return (J, N) those in force; the overall score where there are none."""
    models, metrics, holes = grid.predictions.shape
    flat = grid.predictions.reshape(models * metrics, holes)
    in_force = (grid.weights > 0).reshape(-1)
    chosen = flat[in_force] if in_force.any() else flat
    known = chosen[np.isfinite(chosen).any(axis=1)] if holes else chosen[:0]
    return known if len(known) else grid.score[None, :]


def _standardised(predictors: Floats) -> Floats:
    """Return those that vary, on the log-odds scale: mean 0, variance 1, 0 where unknown."""
    known = np.isfinite(predictors)
    odds = logit(np.clip(np.where(known, predictors, 0.5), _SURE, 1 - _SURE))
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    centred = np.where(known, odds - (odds * known).sum(axis=1, keepdims=True) / count, 0.0)
    spread = np.sqrt((centred**2).sum(axis=1, keepdims=True) / count)
    varies = spread[:, 0] > _CONSTANT
    return centred[varies] / spread[varies]


def _split(predictors: Floats, grid: GridState) -> tuple[Floats, Floats]:
    """Return (J, N) twice: each square's mean, and what a hole has beyond it."""
    squares = len(grid.square_place)
    count = np.maximum(np.bincount(grid.square, minlength=squares), 1)
    means = np.stack(
        [np.bincount(grid.square, weights=row, minlength=squares) / count for row in predictors]
    )
    between = means[:, grid.square]
    return between, predictors - between
