"""A model that sees the truth through noise."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import BadInput
from simulators.epu.truth import GridTruth, HoleTruth, SquareTruth

Floats = NDArray[np.float64]

#: Holes of a better quality than this are good.
GOOD = 0.5

#: The largest noise looked at: a model that sees nothing.
_BLIND = 64.0


class SimulatedModel:
    """Predicts the quality of squares and holes.

    A prediction is the true quality, moved on the log-odds scale by noise that belongs to the
    square or hole: whoever asks again gets the same answer.
    """

    def __init__(self, name: str, *, noise: float = 0.5, seed: int = 0) -> None:
        """Make a model.

        Args:
            name: By which its predictions are known.
            noise: Standard deviation of the noise, log-odds; 0 predicts the truth.
            seed: Of the noise.
        """
        if not noise >= 0:
            raise ValueError(f"noise is a standard deviation, not {noise}")
        self.name = name
        self.noise = noise
        self._seed = seed

    def predict_square(self, square: SquareTruth) -> float:
        """Return the predicted quality of a square, in 0..1."""
        return self._seen(square.square_id, square.quality)

    def predict_holes(self, holes: Sequence[HoleTruth]) -> dict[int, float]:
        """Return the predicted quality of each hole, in 0..1, by its id."""
        return {hole.hole_id: self._seen(hole.hole_id, hole.quality) for hole in holes}

    def _seen(self, ident: int, quality: float) -> float:
        shift = self.noise * float(np.random.default_rng((self._seed, ident)).normal())
        return _moved(quality, shift)


def _moved(quality: float, shift: float) -> float:
    # Written by the odds' two sides, so that neither overflows.
    if quality in (0.0, 1.0):
        return quality
    log_odds = math.log(quality / (1 - quality)) + shift
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    return math.exp(log_odds) / (1 + math.exp(log_odds))


def accuracy(model: SimulatedModel, grid: GridTruth) -> float:
    """Return the model's AUC over the grid's holes: how often it ranks a good one above a bad one.

    Raises:
        BadInput: All holes are good, or all are bad.
    """
    holes = list(grid.holes)
    predicted = model.predict_holes(holes)
    good = np.array([hole.quality > GOOD for hole in holes])
    if good.all() or not good.any():
        raise BadInput("an AUC needs good and bad holes, and this grid has one kind only")
    ranks = np.array([predicted[hole.hole_id] for hole in holes]).argsort().argsort() + 1.0
    wins = float(ranks[good].sum()) - good.sum() * (good.sum() + 1) / 2
    return float(wins / (good.sum() * (~good).sum()))


def noise_for(auc: float, grid: GridTruth, *, seed: int = 0) -> float:
    """Return the noise by which a model has this AUC on the grid, within a few hundredths.

    Raises:
        ValueError: No noise makes a model this good or this bad.
        BadInput: All holes are good, or all are bad.
    """
    if not 0.5 < auc <= 1:
        raise ValueError(f"a model that sees through noise has an AUC in 0.5..1, not {auc}")
    low, high = 0.0, _BLIND
    for _ in range(20):
        middle = (low + high) / 2
        better = accuracy(SimulatedModel("", noise=middle, seed=seed), grid) > auc
        low, high = (middle, high) if better else (low, middle)
    return low
