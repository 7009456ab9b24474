"""How much patches have in common: the covariance of what predictors do not explain."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.spatial import KDTree

from domains.cryoem.planning import Booleans, Floats, GridState, Integers

#: Reach of the correlation between squares, in distances of neighbouring squares.
_BETWEEN_SQUARES: Final = 1.5
#: Reach within a square, in sides of the square.
_WITHIN_SQUARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Shares:
    """Variances of the residual log-odds: what units have in common, part by part."""

    #: Neighbouring squares, all of one square, what lies together in a square, a unit's own.
    neighbours: float
    square: float
    within: float
    unit: float

    def scaled(self, factor: float) -> "Shares":
        """Return the same proportions of another variance."""
        return Shares(
            self.neighbours * factor, self.square * factor, self.within * factor, self.unit * factor
        )


@dataclass(frozen=True, slots=True)
class Units:
    """U parts of a grid that outcomes are pooled in, patches or whole squares."""

    #: (N,) each hole's unit, 0..U-1.
    of_hole: Integers
    #: (U,) each unit's square.
    square: Integers
    #: (U, 2) centre on the stage, and its square's; NaN where not known.
    place: Floats
    square_place: Floats
    #: Reaches of the correlation, metres.
    between: float
    within: float


def units_of(grid: GridState, *, whole_squares: bool) -> Units:
    """Return the grid's patches, or its squares, with their places and reaches."""
    key = grid.square if whole_squares else grid.patch
    _, first, of_hole = np.unique(key, return_index=True, return_inverse=True)
    square = grid.square[first]
    return Units(
        of_hole=of_hole,
        square=square,
        place=_centres(grid.place, of_hole, len(first)),
        square_place=grid.square_place[square],
        between=_BETWEEN_SQUARES * _pitch(grid.square_place),
        within=_WITHIN_SQUARE * _side(grid),
    )


@dataclass(frozen=True, slots=True)
class Common:
    """What R units have in common with C others: parts of 0..1, the same for all shares."""

    neighbours: Floats
    square: Booleans
    within: Floats
    unit: Floats

    @classmethod
    def of(cls, units: Units, rows: Integers, columns: Integers) -> "Common":
        """Compare units by square and place."""
        square = units.square[rows][:, None] == units.square[columns][None, :]
        neighbours = _between(units, rows, columns)
        unit = (rows[:, None] == columns[None, :]).astype(np.float64)
        return cls(neighbours, square, _within(units, rows, columns, square, unit), unit)

    def covariance(self, shares: Shares) -> Floats:
        """Return (R, C) the covariance of the units' residual log-odds."""
        total = shares.neighbours * self.neighbours
        total += shares.square * self.square
        total += shares.within * self.within
        total += shares.unit * self.unit
        return total

    def rows(self, chosen: Integers) -> "Common":
        """Return the same for some of the rows."""
        return Common(
            self.neighbours[chosen], self.square[chosen], self.within[chosen], self.unit[chosen]
        )


def variance(shares: Shares) -> float:
    """Return the variance of each unit."""
    return shares.neighbours + shares.square + shares.within + shares.unit


def _between(units: Units, rows: Integers, columns: Integers) -> Floats:
    """Return the correlation of units' squares, by their distance; 1 for one square."""
    squares, at = np.unique(
        np.concatenate([units.square[rows], units.square[columns]]), return_inverse=True
    )
    place = np.empty((len(squares), 2))
    place[at] = np.concatenate([units.square_place[rows], units.square_place[columns]])
    near = _nearness(place[:, None, :] - place[None, :, :], units.between)
    np.fill_diagonal(near, 1.0)
    return near[at[: len(rows)][:, None], at[len(rows) :][None, :]]


def _within(
    units: Units, rows: Integers, columns: Integers, same_square: Booleans, unit: Floats
) -> Floats:
    """Return the correlation of units of one square, by their distance; 1 for one unit."""
    close = unit.copy()
    one, other = np.nonzero(same_square)
    near = _nearness(units.place[rows[one]] - units.place[columns[other]], units.within)
    close[one, other] = np.maximum(near, close[one, other])
    return close


def _nearness(apart: Floats, reach: float) -> Floats:
    """Return the squared-exponential correlation (…) of offsets (…, 2); 0 where not known."""
    if not reach > 0:
        return np.zeros(apart.shape[:-1])
    squared = apart[..., 0] ** 2 + apart[..., 1] ** 2
    return np.nan_to_num(np.exp(-squared / (2 * reach**2)), nan=0.0)


def _centres(place: Floats, of_hole: Integers, units: int) -> Floats:
    known = np.isfinite(place).all(axis=1)
    count = np.bincount(of_hole[known], minlength=units)
    total = np.stack(
        [np.bincount(of_hole[known], weights=axis[known], minlength=units) for axis in place.T], 1
    )
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)


def _pitch(square_place: Floats) -> float:
    """Return the distance of neighbouring squares; 0 where places are not known."""
    known = square_place[np.isfinite(square_place).all(axis=1)]
    if len(known) < 2:
        return 0.0
    apart = KDTree(known).query(known, k=2)[0][:, 1]
    return float(np.median(apart))


def _side(grid: GridState) -> float:
    """Return the usual extent of a square's holes; 0 where places are not known."""
    known = np.isfinite(grid.place).all(axis=1)
    if not known.any():
        return 0.0
    squares = len(grid.square_place)
    low, high = np.full((squares, 2), np.inf), np.full((squares, 2), -np.inf)
    np.minimum.at(low, grid.square[known], grid.place[known])
    np.maximum.at(high, grid.square[known], grid.place[known])
    filled = high[:, 0] >= low[:, 0]
    return float(np.median((high - low)[filled].max(axis=1)))
