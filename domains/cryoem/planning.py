"""What a planner is given of a grid, and what it returns: the order in which to collect holes.

Planners are interchangeable: `classic` is the order of the decisions note, `adaptive` learns
from what was measured on the grid. N holes, S squares, M models, K metrics; lengths in metres
on the stage, times in minutes of microscope time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MoveCosts:
    """Minutes to the next hole and its image.

    Source: the scheme of CryoRL (Fan et al. 2022, "CryoRL: Reinforcement Learning Enables
    Efficient Cryo-EM Data Collection").
    """

    same_patch: float = 2.0
    other_patch: float = 5.0
    other_square: float = 10.0
    other_grid: float = 20.0


@dataclass(frozen=True, slots=True)
class GridState:
    """What is known of a grid when its order is planned."""

    #: (N,) each hole's square, 0..S-1.
    square: Integers
    #: (N,) each hole's patch, reached by beam shift alone; numbered over the grid.
    patch: Integers
    #: (N, 2) each hole's place on the stage; NaN where it is not known.
    place: Floats
    #: (S, 2) each square's place on the stage; NaN where it is not known.
    square_place: Floats
    #: (N,) whether the hole may be collected.
    eligible: Booleans
    #: (N,) overall score in 0..1: the geometric mean over metrics of the weighted predictions.
    score: Floats
    #: (M, K, N) current predictions in 0..1; NaN where a model has none for the hole.
    predictions: Floats
    #: (M, K) weights in force; each metric's sum to 1 over the models in force.
    weights: Floats
    #: (N,) 1 where the hole's micrograph is good, 0 where it is not; NaN where not measured.
    outcome: Floats
    #: The square and patch where the stage is; None before the first hole.
    here: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The order, and why: n = number of eligible holes, in the order of collection."""

    #: (n,) indexes of the holes.
    order: Integers
    #: (n,) expected probability that the hole's micrograph is good, 0..1.
    expected: Floats
    #: (n,) standard deviation of that estimate; 0 where the planner has none.
    uncertainty: Floats
    #: (n,) minutes that the move to the hole and its image are taken to cost.
    cost: Floats


class Planner(Protocol):
    """Orders the holes of one grid."""

    def __call__(self, grid: GridState, /) -> Plan:
        """Return every eligible hole once, in the order in which to collect them."""
        ...


#: A session that goes on beyond its time may end at any moment; so long it is taken to go on.
BEYOND_MINUTES = 60.0


def minutes_left(began: datetime | None, now: datetime, *, hours: float) -> float:
    """Return how long a session that is to take so many hours goes on, in minutes.

    Nothing that an instrument tells says when its session will end. One of which nobody knows
    when it began is taken to begin now.
    """
    gone = timedelta() if began is None else max(now - began, timedelta())
    return max((timedelta(hours=hours) - gone) / timedelta(minutes=1), BEYOND_MINUTES)
