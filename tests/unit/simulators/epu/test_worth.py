"""What deciding is worth, counted by hand."""

import pytest

from simulators.epu.microscope import Plan
from simulators.epu.truth import grow_grid
from simulators.epu.worth import GOOD, worth


def test_own_order_is_the_first_holes_of_each_square_in_the_same_time() -> None:
    grid = grow_grid(3, squares=4, holes=80)
    best = [hole.hole_id for hole in grid.holes if hole.quality >= GOOD][:9]

    told = worth(grid, best, Plan(collected_per_square=5))

    # Four squares of 1.5 minutes and nine exposures of 0.3; alone, a square takes 3.0 of them.
    assert told.minutes == pytest.approx(8.7)
    assert (told.decided, told.decided_good) == (9, 9)
    holes = [
        [hole for hole in square.holes if not hole.near_bar][:5] for square in grid.squares[:3]
    ]
    alone = [*holes[0], *holes[1], *holes[2][:4]]
    assert told.own == len(alone) == 14
    assert told.own_good == sum(hole.quality >= GOOD for hole in alone)


def test_what_ends_early_collects_no_more_than_there_is() -> None:
    grid = grow_grid(3, squares=2, holes=8)
    everything = [hole.hole_id for hole in grid.holes]

    told = worth(grid, everything)

    assert told.own == sum(not hole.near_bar for hole in grid.holes)
    assert worth(grid, []).decided == 0
