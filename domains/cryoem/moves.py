"""What moving from hole to hole costs."""

import numpy as np

from domains.cryoem.planning import Floats, Integers, MoveCosts


def move_minutes(
    square: Integers, patch: Integers, here: tuple[int, int] | None, costs: MoveCosts
) -> Floats:
    """Return the minutes (n,) that each of n holes, collected in turn, takes: its move and image.

    Args:
        square: (n,) square of each hole.
        patch: (n,) patch of each hole, numbered over the grid.
        here: square and patch where the stage is; None while it is on another grid.
        costs: of each kind of move.
    """
    at_square, at_patch = here or (-1, -1)
    same_square = np.diff(square, prepend=at_square) == 0
    same_patch = np.diff(patch, prepend=at_patch) == 0
    minutes = np.where(same_square, costs.other_patch, costs.other_square)
    minutes[same_patch] = costs.same_patch
    if here is None:
        minutes[:1] = costs.other_grid
    return minutes
