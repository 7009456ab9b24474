"""Models that see each metric's latent quality through noise and have a calibration of their own.

A model is noisy to a stated AUC, for each metric. Half of the noise is common to all models
(they look at the same images), and a part of it is the same for a whole square. What a model
says is a logistic function of what it sees, with a slope and an offset of its own: one is too
sure, one too timid, two lean to a side. One is silent about some squares.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit
from scipy.stats import mannwhitneyu

from domains.cryoem.planning import Booleans, Floats
from simulators.yields.grid import METRICS, Grid

#: Slope and offset on the log-odds scale, one row a model.
_CALIBRATION: Final = ((1.0, 0.0), (3.0, 0.5), (0.5, -1.0), (1.5, 1.5))
#: Share of the noise that all models have in common, and share that a whole square has.
_COMMON: Final = 0.5
_OF_SQUARE: Final = 0.3
#: The last model says nothing about this share of the squares.
_SILENT: Final = 0.25
#: Noise beyond which a model sees nothing, in standard deviations of the quality.
_BLIND: Final = 64.0
_HALVINGS: Final = 24


@dataclass(frozen=True, slots=True)
class Predictions:
    """What M models say of K metrics and N holes."""

    #: (M, K, N) in 0..1; NaN where a model is silent.
    value: Floats
    #: (M, K) the AUC of each, over the holes that it speaks of.
    auc: Floats


def predict(grid: Grid, auc: float, seed: int) -> Predictions:
    """Return predictions of the stated AUC; the noise of a seed differs by its size only.

    Raises:
        ValueError: No noise makes a model this good or this bad.
    """
    if not 0.5 < auc < 1:
        raise ValueError(f"a model that sees through noise has an AUC between 0.5 and 1, not {auc}")
    random = np.random.default_rng((seed, 2))
    squares = len(grid.square_place)
    shape = (len(_CALIBRATION), len(METRICS))
    silent = random.permutation(squares)[: round(_SILENT * squares)]
    covered = ~np.isin(grid.square, silent)
    common = [_noise(random, grid) for _ in METRICS]
    value = np.empty((*shape, len(grid.square)))
    reached = np.empty(shape)
    for model, (slope, offset) in enumerate(_CALIBRATION):
        speaks = covered if model == len(_CALIBRATION) - 1 else np.ones_like(covered)
        for metric in range(len(METRICS)):
            own = _noise(random, grid)
            noise = np.sqrt(_COMMON) * common[metric] + np.sqrt(1 - _COMMON) * own
            seen = _seen(grid.latent[metric], noise, grid.fine[metric], speaks, auc)
            reached[model, metric] = area_under_curve(seen[speaks], grid.fine[metric][speaks])
            value[model, metric] = np.where(speaks, expit(slope * seen + offset), np.nan)
    return Predictions(value, reached)


def area_under_curve(predicted: Floats, fine: Booleans) -> float:
    """Return how often a fine hole is ranked above another: Mann and Whitney's U, scaled.

    0.5 when all holes are fine or none is.
    """
    if fine.all() or not fine.any():
        return 0.5
    wins = mannwhitneyu(predicted[fine], predicted[~fine], method="asymptotic").statistic
    return float(wins / (fine.sum() * (~fine).sum()))


def _noise(random: np.random.Generator, grid: Grid) -> Floats:
    of_square = random.normal(size=len(grid.square_place))[grid.square]
    of_hole = random.normal(size=len(grid.square))
    return np.sqrt(_OF_SQUARE) * of_square + np.sqrt(1 - _OF_SQUARE) * of_hole


def _seen(latent: Floats, noise: Floats, fine: Booleans, speaks: Booleans, auc: float) -> Floats:
    """Return the quality through as much noise as gives the AUC, scaled to unit variance."""
    low, high = 0.0, _BLIND
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        reached = area_under_curve((latent + middle * noise)[speaks], fine[speaks])
        low, high = (middle, high) if reached > auc else (low, middle)
    seen = latent + low * noise
    return (seen - seen.mean()) / seen.std()
