"""Which holes are collected from one stage position, by beam and image shift alone."""

from typing import Final

import numpy as np

from domains.cryoem.planning import Booleans, Floats, Integers

#: Metres of beam and image shift around a stage position: so far that 3x3 holes of the usual foil
#: (R1.2/1.3, 2.5 µm apart) are certainly one patch. SmartScope's guide ("Session setup", beam-image
#: shift) gives 3.67 to 5.00 µm for it; Cheng et al. 2018, J. Struct. Biol. 204, 270, show that the
#: data stay as good. With coma corrected, 6x6 holes (9 µm) have been collected (Leginon's manual).
REACH: Final = 5e-6


def patches(place: Floats, square: Integers, *, reach: float = REACH) -> Integers:
    """Return each hole's patch (N,), numbered 0..P-1 over the grid, square by square.

    A square is covered with hexagons whose corners are `reach` from the middle, where the stage
    stands: of all ways to cover a plane with discs the one that needs the fewest (Kershner 1939,
    "The number of circles covering a set"). The hexagons are laid from the middle of the
    square's holes, so that a patch depends on where holes are and not on how they are numbered.
    The holes of a square whose place is not known are one patch.

    Args:
        place: (N, 2) in metres on the stage; NaN where it is not known.
        square: (N,) square of each hole.
        reach: metres, how far the beam is shifted at most.

    Raises:
        ValueError: reach is not a positive length.
    """
    if not 0.0 < reach < np.inf:
        raise ValueError(f"{reach} m is no reach of a beam shift")
    if not len(square):
        return np.empty(0, dtype=np.int64)
    known = np.isfinite(place[:, 0]) & np.isfinite(place[:, 1])
    _, at = np.unique(square, return_inverse=True)
    row, column = np.zeros(len(square)), np.zeros(len(square))
    off = place[known] - _middles(place[known], at[known], int(at.max()) + 1)[at[known]]
    row[known], column[known] = _hexagons(off / reach)
    return _numbered(at, ~known, row, column)


def _middles(place: Floats, square: Integers, squares: int) -> Floats:
    """Return the middle (S, 2) of the box around each square's holes."""
    low = np.full((squares, 2), np.inf)
    high = np.full((squares, 2), -np.inf)
    np.minimum.at(low, square, place)
    np.maximum.at(high, square, place)
    found = low <= high
    # Halved first, so that no sum overflows.
    return np.add(low / 2, high / 2, where=found, out=np.zeros_like(low))


def _hexagons(place: Floats) -> tuple[Floats, Floats]:
    """Return row and column of the hexagon around each place (n, 2), in units of its radius.

    In cube coordinates, which sum to 0, each is rounded; the one that was rounded most is then
    what the other two leave.
    """
    row = place[:, 1] * (2 / 3)
    column = place[:, 0] / np.sqrt(3) - row / 2
    third = -row - column
    near_row, near_column, near_third = np.rint(row), np.rint(column), np.rint(third)
    off_row = np.abs(near_row - row)
    off_column = np.abs(near_column - column)
    off_third = np.abs(near_third - third)
    column_worst = (off_column > off_row) & (off_column > off_third)
    row_worst = ~column_worst & (off_row > off_third)
    return (
        np.where(row_worst, -near_column - near_third, near_row),
        np.where(column_worst, -near_row - near_third, near_column),
    )


def _numbered(square: Integers, unknown: Booleans, row: Floats, column: Floats) -> Integers:
    ranked = np.lexsort((column, row, unknown, square))
    fresh = np.zeros(len(square), dtype=np.bool_)
    for key in (square, unknown, row, column):
        sorted_key = key[ranked]
        fresh[1:] |= sorted_key[1:] != sorted_key[:-1]
    number = np.empty(len(square), dtype=np.int64)
    number[ranked] = np.cumsum(fresh)
    return number
