"""The adaptive planner: learns from what was measured on this grid, and weighs what moves cost.

It believes (`belief`), is hopeful about what it does not know yet as long as there is time to
profit from it (an upper confidence bound), and takes the route that pays best within the time
that is left (`route`). It is deterministic, and keeps nothing between plans: new results come
with the next `GridState`.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from domains.cryoem.belief import believe
from domains.cryoem.moves import move_minutes
from domains.cryoem.planning import GridState, MoveCosts, Plan
from domains.cryoem.route import Stops, route


@dataclass(frozen=True, slots=True)
class Adaptive:
    """Orders holes by what they are expected to bring for the minutes that they take."""

    costs: MoveCosts = field(default_factory=MoveCosts)
    #: Minutes of microscope time that are left, by each plan's moment.
    minutes: float = 24 * 60.0
    #: Standard deviations of hope about what is not known; 0 explores nothing.
    hope: float = 0.6
    #: Minutes left at which hope has fallen to half.
    patience: float = 240.0

    def __call__(self, grid: GridState, /) -> Plan:
        """Return every eligible hole once, in the order in which to collect them."""
        holes = np.flatnonzero(grid.eligible)
        belief = believe(grid)
        expected, uncertainty = (value[holes] for value in belief.chance())
        hope = self.hope * self._patience()
        hoped = expit(belief.log_odds[holes] + hope * belief.spread[holes])
        gain = np.maximum(hoped, expected) if hope else expected
        square, patch = grid.square[holes], grid.patch[holes]
        order = route(Stops(gain, square, patch, grid.here), self.costs, self.minutes)
        return Plan(
            order=holes[order],
            expected=expected[order],
            uncertainty=uncertainty[order],
            cost=move_minutes(square[order], patch[order], grid.here, self.costs),
        )

    def _patience(self) -> float:
        left = max(self.minutes, 0.0)
        return 1.0 if math.isinf(left) else left / (left + self.patience)
