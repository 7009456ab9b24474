"""A microscope that follows a planner, and what it brings home: the closed loop.

Micrographs are processed some minutes after they are taken. At each replanning the planner sees
the results that have come by then, and the weights that those results lead to.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from domains.cryoem import quality, scores, weights
from domains.cryoem.moves import move_minutes
from domains.cryoem.planning import Booleans, Floats, GridState, Integers, MoveCosts, Planner
from simulators.yields.grid import LARGER_IS_BETTER, Grid

#: Minutes between two plans, and from a micrograph to its results.
REPLAN_MINUTES: Final = 20.0
RESULT_MINUTES: Final = 5.0

#: Gives the planner for the minutes that are left of the session.
PlannerFor = Callable[[float], Planner]


@dataclass(frozen=True, slots=True)
class Run:
    """n micrographs in the order in which they were taken."""

    hole: Integers
    #: (n,) minutes from the start of the session to each micrograph.
    minutes: Floats
    #: (n,) whether it is good.
    good: Booleans
    #: (n,) the probability of that, as the planner had it.
    expected: Floats

    def good_by(self, minutes: Floats) -> Integers:
        """Return how many good micrographs there are by each of these times."""
        return np.searchsorted(self.minutes[self.good], minutes, side="right")


def collect(
    grid: Grid,
    predictions: Floats,
    planner_for: PlannerFor,
    *,
    minutes: float,
    costs: MoveCosts | None = None,
    replan_minutes: float = REPLAN_MINUTES,
) -> Run:
    """Follow a planner for so many minutes of microscope time.

    Args:
        grid: The truth; the planner sees of it what was measured.
        predictions: (M, K, N) in 0..1; NaN where a model has none for the hole.
        planner_for: Is asked for a planner at each replanning.
        minutes: How long the session lasts.
        costs: What moves cost; the defaults of the decisions note unless told otherwise.
        replan_minutes: Minutes between two plans; infinite for a planner that learns nothing.
    """
    scope = _Microscope(grid, predictions, costs or MoveCosts())
    while scope.minutes < minutes:
        state = scope.state()
        if not state.eligible.any():
            break
        plan = planner_for(minutes - scope.minutes)(state)
        until = min(minutes, scope.minutes + replan_minutes)
        if not scope.follow(plan.order, plan.expected, until, minutes):
            break
    return scope.run()


class _Microscope:
    def __init__(self, grid: Grid, predictions: Floats, costs: MoveCosts) -> None:
        self.minutes = 0.0
        self._grid, self._predictions, self._costs = grid, predictions, costs
        self._here: tuple[int, int] | None = None
        self._eligible = np.ones(len(grid.square), dtype=np.bool_)
        self._outcome = np.full(len(grid.square), np.nan)
        models, metrics = predictions.shape[:2]
        self._weights = np.full((models, metrics), 1 / max(models, 1))
        self._statistics = [quality.Statistics() for _ in range(metrics)]
        self._holes: list[int] = []
        self._times: list[float] = []
        self._expected: list[float] = []
        self._known = 0

    def state(self) -> GridState:
        self._learn()
        grid = self._grid
        return GridState(
            square=grid.square,
            patch=grid.patch,
            place=grid.place,
            square_place=grid.square_place,
            eligible=self._eligible.copy(),
            score=scores.overall(self._predictions, self._weights),
            predictions=self._predictions,
            weights=self._weights.copy(),
            outcome=self._outcome.copy(),
            here=self._here,
        )

    def follow(self, order: Integers, expected: Floats, until: float, end: float) -> bool:
        """Take micrographs until the time for a new plan; return whether the session goes on."""
        square, patch = self._grid.square[order], self._grid.patch[order]
        costs = move_minutes(square, patch, self._here, self._costs)
        for hole, likely, cost in zip(order, expected, costs, strict=True):
            if self.minutes >= until:
                return True
            if self.minutes + cost > end:
                return False
            self.minutes += float(cost)
            self._holes.append(int(hole))
            self._times.append(self.minutes)
            self._expected.append(float(likely))
            self._eligible[hole] = False
            self._here = (int(self._grid.square[hole]), int(self._grid.patch[hole]))
        return True

    def run(self) -> Run:
        hole = np.array(self._holes, dtype=np.int64)
        return Run(hole, np.array(self._times), self._grid.good[hole], np.array(self._expected))

    def _learn(self) -> None:
        """Take in the results that have come since the last plan, in order."""
        while (
            self._known < len(self._holes)
            and self._times[self._known] + RESULT_MINUTES <= self.minutes
        ):
            hole = self._holes[self._known]
            self._known += 1
            self._outcome[hole] = float(self._grid.good[hole])
            for metric, statistics in enumerate(self._statistics):
                value = float(self._grid.value[metric, hole])
                judged = quality.judge(statistics, value, larger_is_better=LARGER_IS_BETTER[metric])
                self._statistics[metric] = quality.joined(statistics, value)
                self._weights[:, metric] = weights.updated(
                    self._weights[:, metric], self._predictions[:, metric, hole], judged
                )
