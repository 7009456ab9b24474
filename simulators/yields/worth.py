"""What deciding is worth on a simulated grid: the same grid collected in three ways."""

import math
from dataclasses import dataclass

from domains.cryoem.adaptive import Adaptive
from domains.cryoem.classic import plan_classic
from simulators.yields.grid import HOLEY_CARBON, GridKind, grow
from simulators.yields.planners import EpuOrder
from simulators.yields.predictors import predict
from simulators.yields.run import collect


@dataclass(frozen=True, slots=True)
class Worth:
    """Good micrographs of one simulated session, by who planned it."""

    kind: str
    minutes: float
    epu: int
    classic: int
    adaptive: int

    def in_words(self) -> str:
        """Say it in one sentence."""
        return (
            f"{self.minutes / 60:g} simulated hours on {self.kind}: "
            f"{self.adaptive} good micrographs in the adaptive order, "
            f"{self.classic} in the classic one, {self.epu} in EPU's own"
        )


def worth(
    seed: int, *, minutes: float = 240.0, auc: float = 0.75, kind: GridKind = HOLEY_CARBON
) -> Worth:
    """Return how many good micrographs each order collects; the same seed gives the same.

    Args:
        seed: Of the grid and of the predictors' noise.
        minutes: Of simulated microscope time. Takes a second or two for four hours.
        auc: Of each predictor.
        kind: Of the grid.
    """
    grid = grow(kind, seed)
    predictions = predict(grid, auc, seed).value

    epu = collect(grid, predictions, lambda _: EpuOrder(), minutes=minutes, replan_minutes=math.inf)
    classic = collect(grid, predictions, lambda _: plan_classic, minutes=minutes)
    adaptive = collect(grid, predictions, lambda left: Adaptive(minutes=left), minutes=minutes)
    good = [int(run.good.sum()) for run in (epu, classic, adaptive)]
    return Worth(kind.name, minutes, *good)
