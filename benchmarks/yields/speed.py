"""How long the adaptive planner takes for a large grid."""

import time
from typing import Final

import numpy as np

from domains.cryoem.adaptive import Adaptive
from domains.cryoem.patches import patches
from domains.cryoem.planning import GridState

#: A grid of 100 squares with 400 holes each, 4 models, 3 metrics, 700 micrographs (24 hours).
_SQUARES: Final = 100
_SIDE: Final = 20
_MODELS, _METRICS = 4, 3
_MEASURED: Final = 700
_TRIES: Final = 3


def replan_seconds() -> float:
    """Return the seconds that one plan of 40,000 holes takes, the best of a few."""
    grid = large_grid()
    return min(_timed(grid) for _ in range(_TRIES))


def large_grid() -> GridState:
    """Return a grid in the middle of its collection, the micrographs spread over 35 patches."""
    random = np.random.default_rng(4)
    across = round(_SQUARES**0.5)
    square_place = np.stack(np.divmod(np.arange(_SQUARES), across), axis=1) * 85e-6
    offsets = np.stack(np.divmod(np.arange(_SIDE**2), _SIDE), axis=1) * 2.5e-6
    place = (square_place[:, None] + offsets).reshape(-1, 2)
    square = np.repeat(np.arange(_SQUARES), _SIDE**2)
    patch = patches(place, square)
    holes = len(square)
    chosen = random.permutation(patch.max() + 1)
    measured = np.flatnonzero(np.isin(patch, chosen[: round(_MEASURED / holes * len(chosen))]))
    outcome = np.full(holes, np.nan)
    outcome[measured] = random.random(len(measured)) < 0.6
    predictions = random.random((_MODELS, _METRICS, holes))
    return GridState(
        square=square,
        patch=patch,
        place=place,
        square_place=square_place,
        eligible=np.isnan(outcome),
        score=predictions.mean(axis=(0, 1)),
        predictions=predictions,
        weights=np.full((_MODELS, _METRICS), 1 / _MODELS),
        outcome=outcome,
        here=(int(square[measured[-1]]), int(patch[measured[-1]])),
    )


def _timed(grid: GridState) -> float:
    start = time.perf_counter()
    Adaptive()(grid)
    return time.perf_counter() - start
