"""What an order is worth: a grid, its predictors, and a microscope that follows plans.

Pure and deterministic: the same seed gives the same grid, predictions and micrographs.
"""

from simulators.yields.grid import CUT_OFF, GOLD, HOLEY_CARBON, KINDS, Grid, GridKind, grow
from simulators.yields.predictors import Predictions, area_under_curve, predict
from simulators.yields.run import Run, collect
from simulators.yields.worth import Worth, worth

__all__ = [
    "CUT_OFF",
    "GOLD",
    "HOLEY_CARBON",
    "KINDS",
    "Grid",
    "GridKind",
    "Predictions",
    "Run",
    "Worth",
    "area_under_curve",
    "collect",
    "grow",
    "predict",
    "worth",
]
