"""A budgeted route over patches: which holes are worth their moves, and in what order.

Moves cost by what they leave: hole, patch or square. So the choice is a tree: a hole costs its
image, the first hole of a patch the move to the patch too, the first of a square the move to the
square. With a price on a minute it falls apart into patches and squares, each of which pays or
does not; the price is the one at which what pays fills the time that is left (Lagrange's
relaxation of the orienteering problem; in foraging, the marginal value theorem).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from domains.cryoem.planning import Booleans, Floats, Integers, MoveCosts

#: Halvings of the interval that the price of a minute is searched in.
_HALVINGS: Final = 18
#: What does not fit into the time is routed again at half the price, so often; the rest is last.
_ROUNDS: Final = 6


@dataclass(frozen=True, slots=True)
class Stops:
    """n holes to choose from, and what each is expected to give (≥ 0)."""

    gain: Floats
    square: Integers
    patch: Integers
    #: The square and patch where the stage is.
    here: tuple[int, int] | None


def route(stops: Stops, costs: MoveCosts, minutes: float) -> Integers:
    """Return every stop once: first those that pay within so many minutes, best rate first.

    Where the stage is comes first as long as it pays; what pays less follows.
    """
    if not len(stops.gain):
        return np.empty(0, dtype=np.int64)
    tree = _Tree.of(stops, costs)
    left = np.ones(len(stops.gain), dtype=np.bool_)
    parts: list[Integers] = []
    for price in _price(tree, left, minutes) * 0.5 ** np.arange(_ROUNDS):
        chosen = tree.paying(left, price).holes
        if chosen.any():
            parts.append(tree.ordered(chosen))
            left &= ~chosen
            tree = tree.arrived(parts[-1][-1])
    return np.concatenate([*parts, tree.ordered(left)])


@dataclass(frozen=True, slots=True)
class _Choice:
    holes: Booleans
    minutes: float


@dataclass(frozen=True, slots=True)
class _Tree:
    """The stops sorted by patch and, within it, by falling gain; patches sorted by square."""

    gain: Floats
    #: Sorted position → stop.
    stop: Integers
    #: Stop → patch, patch → square, dense.
    patch: Integers
    square: Integers
    costs: MoveCosts
    #: Minutes to open each patch and each square, beyond those of its first hole.
    to_patch: Floats
    to_square: Floats

    @classmethod
    def of(cls, stops: Stops, costs: MoveCosts) -> "_Tree":
        patches, first, patch = np.unique(stops.patch, return_index=True, return_inverse=True)
        squares, square = np.unique(stops.square[first], return_inverse=True)
        to_patch = np.full(len(patches), costs.other_patch - costs.same_patch)
        to_square = np.full(len(squares), costs.other_square - costs.other_patch)
        if stops.here is not None:
            to_patch[patches == stops.here[1]] = 0.0
            to_square[squares == stops.here[0]] = 0.0
        stop = np.lexsort((np.arange(len(patch)), -stops.gain, patch))
        return cls(stops.gain, stop, patch, square, costs, to_patch, to_square)

    def arrived(self, stop: int) -> "_Tree":
        """Return the tree as it is seen from a stop."""
        patch = self.patch[stop]
        to_patch = np.full(len(self.to_patch), self.costs.other_patch - self.costs.same_patch)
        to_square = np.full(len(self.to_square), self.costs.other_square - self.costs.other_patch)
        to_patch[patch] = to_square[self.square[patch]] = 0.0
        return _Tree(self.gain, self.stop, self.patch, self.square, self.costs, to_patch, to_square)

    def paying(self, open_: Booleans, price: float) -> _Choice:
        """Return the open holes that pay at a price of a minute, and the minutes they take."""
        net = self.gain - price * self.costs.same_patch
        taken = open_ & (net > 0)
        patch_net = self._by_patch(net, taken) - price * self.to_patch
        patch_pays = patch_net > 0
        squares = len(self.to_square)
        square_net = _sums(self.square, np.where(patch_pays, patch_net, 0.0), squares)
        square_pays = square_net - price * self.to_square > 0
        patch_pays &= square_pays[self.square]
        taken &= patch_pays[self.patch]
        visited = np.bincount(self.square[patch_pays], minlength=squares) > 0
        minutes = taken.sum() * self.costs.same_patch
        minutes += self.to_patch[patch_pays].sum() + self.to_square[visited].sum()
        return _Choice(taken, float(minutes))

    def ordered(self, chosen: Booleans) -> Integers:
        """Return the chosen stops: squares and their patches by rate, holes by gain."""
        count = self._by_patch(np.ones(len(self.gain)), chosen)
        gain = self._by_patch(self.gain, chosen)
        minutes = self.to_patch + count * self.costs.same_patch
        squares = len(self.to_square)
        some = count > 0
        square_gain = _sums(self.square, gain, squares)
        square_minutes = self.to_square + _sums(self.square, np.where(some, minutes, 0.0), squares)
        square_rate = _rate(square_gain, square_minutes, self.to_square)
        patch_rate = _rate(gain, minutes, self.to_patch)
        patch_order = np.lexsort((-patch_rate, self.square, -square_rate[self.square]))
        rank = np.empty_like(patch_order)
        rank[patch_order] = np.arange(len(patch_order))
        kept = self.stop[chosen[self.stop]]
        return kept[np.argsort(rank[self.patch[kept]], kind="stable")]

    def _by_patch(self, value: Floats, chosen: Booleans) -> Floats:
        return _sums(self.patch, np.where(chosen, value, 0.0), len(self.to_patch))


def _sums(at: Integers, value: Floats, length: int) -> Floats:
    """Return (length,) the sum of the values at each index."""
    return np.bincount(at, weights=value, minlength=length).astype(np.float64, copy=False)


def _rate(gain: Floats, minutes: Floats, to_reach: Floats) -> Floats:
    """Return gain per minute; where the stage is already comes before all else."""
    rate = gain / np.maximum(minutes, 1e-9)
    return np.where((to_reach == 0) & (gain > 0), np.inf, rate)


def _price(tree: _Tree, open_: Booleans, minutes: float) -> float:
    """Return the price of a minute at which what pays fills the minutes; 0 when all fits."""
    if tree.paying(open_, 0.0).minutes <= minutes:
        return 0.0
    low, high = 0.0, float(tree.gain.max()) / max(tree.costs.same_patch, 1e-9)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if tree.paying(open_, middle).minutes > minutes else (low, middle)
        )
    return high
