"""Orders to compare with: EPU's own, a random one, and that of an oracle who knows the truth."""

from dataclasses import dataclass, field

import numpy as np

from domains.cryoem.moves import move_minutes
from domains.cryoem.planning import Booleans, GridState, Integers, MoveCosts, Plan
from domains.cryoem.route import Stops, route


@dataclass(frozen=True, slots=True)
class EpuOrder:
    """Squares in order of selection, patches and their holes row by row, none left out.

    With image shift EPU takes a cluster of holes at a time; `clusters=False` is the plain raster,
    which leaves a patch after each few holes and so collects less.
    """

    costs: MoveCosts = field(default_factory=MoveCosts)
    clusters: bool = True

    def __call__(self, grid: GridState, /) -> Plan:
        """Return the eligible holes; a grid's arrays are in EPU's order already."""
        holes = np.flatnonzero(grid.eligible)
        if self.clusters:
            holes = holes[np.lexsort((holes, grid.patch[holes], grid.square[holes]))]
        return _plan(grid, holes, self.costs)


@dataclass(frozen=True, slots=True)
class RandomOrder:
    """Holes at random."""

    seed: int
    costs: MoveCosts = field(default_factory=MoveCosts)

    def __call__(self, grid: GridState, /) -> Plan:
        """Return the eligible holes, shuffled; the same seed shuffles them the same way."""
        holes = np.random.default_rng((self.seed, 3)).permutation(np.flatnonzero(grid.eligible))
        return _plan(grid, holes, self.costs)


@dataclass(frozen=True, slots=True)
class Oracle:
    """Knows which holes are good, and takes the best route among them for the time it has."""

    good: Booleans
    minutes: float
    costs: MoveCosts = field(default_factory=MoveCosts)

    def __call__(self, grid: GridState, /) -> Plan:
        """Return the eligible holes."""
        holes = np.flatnonzero(grid.eligible)
        stops = Stops(
            self.good[holes].astype(np.float64), grid.square[holes], grid.patch[holes], grid.here
        )
        order = holes[route(stops, self.costs, self.minutes)]
        plan = _plan(grid, order, self.costs)
        return Plan(plan.order, self.good[order].astype(np.float64), plan.uncertainty, plan.cost)


def _plan(grid: GridState, order: Integers, costs: MoveCosts) -> Plan:
    """Return a plan by one who expects what the overall score says."""
    cost = move_minutes(grid.square[order], grid.patch[order], grid.here, costs)
    return Plan(order, grid.score[order], np.zeros(len(order)), cost)
