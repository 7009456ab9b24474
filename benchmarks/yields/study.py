"""The runs: each planner on each grid, in as many processes as there are cores."""

import math
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Final

import numpy as np

from domains.cryoem.adaptive import Adaptive
from domains.cryoem.classic import plan_classic
from domains.cryoem.planning import Integers
from simulators.yields import KINDS, Grid, GridKind, collect, grow, predict
from simulators.yields.planners import EpuOrder, Oracle, RandomOrder
from simulators.yields.run import REPLAN_MINUTES, PlannerFor

HOURS: Final = 24
AUCS: Final = (0.6, 0.75, 0.9)
#: Seeds of the figures; planners are tuned on others (100 and up).
SEEDS: Final = tuple(range(1, 21))
PLANNERS: Final = ("random", "EPU's order", "classic", "adaptive", "oracle")
#: EPU's order without clusters of holes, for comparison.
RASTER: Final = "plain raster"

#: Times of the curves, minutes.
TIMES: Final = np.arange(0.0, HOURS * 60 + 1, 15)


@dataclass(frozen=True, slots=True)
class Result:
    """One session of one planner."""

    kind: str
    auc: float
    seed: int
    planner: str
    taken: int
    #: Good micrographs by each of TIMES.
    good: Integers

    @property
    def per_hour(self) -> float:
        """Good micrographs per hour of microscope time."""
        return float(self.good[-1]) / HOURS


def run_all(kinds: tuple[GridKind, ...] = KINDS, seeds: tuple[int, ...] = SEEDS) -> list[Result]:
    """Run every planner on every grid; with any number of processes the results are the same."""
    # One thread each: two processes on two cores, and matrices too small to share out.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    found: list[Result] = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        jobs = [pool.submit(run_grid, kind, seed) for seed in seeds for kind in kinds]
        for done, job in enumerate(as_completed(jobs), start=1):
            found += job.result()
            print(f"\r{done} of {len(jobs)} grids", end="", flush=True)
    print()
    return sorted(found, key=lambda one: (one.kind, one.auc, one.planner, one.seed))


def run_grid(kind: GridKind, seed: int) -> list[Result]:
    """Run every planner on one grid, with predictors of each quality."""
    grid = grow(kind, seed)
    return [
        Result(kind.name, auc, seed, planner, len(run.hole), run.good_by(TIMES))
        for auc in AUCS
        for predictions in [predict(grid, auc, seed).value]
        for planner, planner_for, every in _planners(grid, seed)
        for run in [
            collect(grid, predictions, planner_for, minutes=HOURS * 60, replan_minutes=every)
        ]
    ]


def _planners(grid: Grid, seed: int) -> Iterator[tuple[str, PlannerFor, float]]:
    yield "random", lambda _: RandomOrder(seed), math.inf
    yield "EPU's order", lambda _: EpuOrder(), math.inf
    yield RASTER, lambda _: EpuOrder(clusters=False), math.inf
    yield "classic", lambda _: plan_classic, REPLAN_MINUTES
    yield "adaptive", lambda left: Adaptive(minutes=left), REPLAN_MINUTES
    yield "oracle", lambda left: Oracle(grid.good, left), math.inf
