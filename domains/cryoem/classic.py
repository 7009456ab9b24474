"""The classic planner: holes by score within a square, squares greedily by what they promise."""

import heapq
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

import numpy as np

from domains.cryoem.moves import move_minutes
from domains.cryoem.planning import Floats, GridState, Integers, MoveCosts, Plan
from domains.cryoem.scores import UNKNOWN

#: What a change of square takes from its gain, in scores of -1..1 per hole.
CHANGE_OF_SQUARE: Final = 10.0
_DEFAULT_COSTS: Final = MoveCosts()


def plan_classic(grid: GridState, *, costs: MoveCosts = _DEFAULT_COSTS) -> Plan:
    """Order the eligible holes by score, square by square.

    A hole's score is 2p - 1, so that it counts against its square when it is more likely bad
    than good. Within a square the best comes first. The gain of a visit to a square is the
    largest sum that its remaining holes give from the best on: that of its positive scores, or
    its best hole's when none is positive. A change of square takes 10 from it. The square with
    the largest gain is visited, for just the holes that make it, and then the choice is made
    again. So a square is left before it is exhausted when another promises more than 10 above
    the next hole here; its poor holes come later, when no square is worth the move any more.
    Of equal gains the square where the stage is comes first, then the smaller index; of equal
    scores in a square the hole with the smaller index.
    """
    chosen = np.flatnonzero(grid.eligible)
    gain = 2.0 * np.nan_to_num(grid.score[chosen], nan=UNKNOWN) - 1.0
    square = grid.square[chosen]
    ranked = np.lexsort((-gain, square))
    here = None if grid.here is None else grid.here[0]
    order = chosen[ranked[_holes_of(list(_runs(gain[ranked], square[ranked], here)))]]
    return Plan(
        order=order,
        expected=np.nan_to_num(grid.score[order], nan=UNKNOWN),
        uncertainty=np.zeros(len(order)),
        cost=move_minutes(grid.square[order], grid.patch[order], grid.here, costs),
    )


def suggested_indexes(order: Integers, holes: int) -> Integers:
    """Return each hole's place (N,) in the order, from 1 on; 0 for a hole that is not in it."""
    indexes = np.zeros(holes, dtype=np.int64)
    indexes[order] = np.arange(1, len(order) + 1)
    return indexes


def _runs(gain: Floats, square: Integers, here: int | None) -> Iterator[tuple[int, int]]:
    """Yield first and last (exclusive) of the ranked holes that each choice collects.

    Args:
        gain: (n,) of the eligible holes, sorted by square and then falling.
        square: (n,) of the same.
        here: the square where the stage is.
    """
    squares, first = np.unique(square, return_index=True)
    last = np.append(first[1:], len(square))
    at = np.repeat(np.arange(len(squares)), last - first)
    # Summed from the best on, so that the sum does not depend on how the holes are numbered.
    positive = np.bincount(at, weights=np.maximum(gain, 0.0))
    fruitful = first + np.bincount(at[gain > 0], minlength=len(squares))
    promise = np.where(fruitful > first, positive, gain[first])
    start, turn, end, promised = first.tolist(), fruitful.tolist(), last.tolist(), promise.tolist()
    current = None if here is None else _position(squares, here)
    # No gain changes before its square is visited.
    elsewhere = [(-promised[k], k) for k in range(len(squares)) if k != current]
    heapq.heapify(elsewhere)
    falling = (-gain).tolist()
    while elsewhere or current is not None:
        bar = -elsewhere[0][0] - CHANGE_OF_SQUARE if elsewhere else -np.inf
        if current is None:
            current = heapq.heappop(elsewhere)[1]
        elif promised[current] < bar:
            current = heapq.heappushpop(elsewhere, (-promised[current], current))[1]
        else:
            begin, stop = start[current], turn[current]
            if begin == stop:
                # No longer a sum: the next hole alone decides, and those up to the bar are taken.
                stop = bisect_right(falling, -bar, begin, end[current])
            yield begin, stop
            start[current] = turn[current] = stop
            if stop < end[current]:
                promised[current] = -falling[stop]
            else:
                current = None


def _position(squares: Integers, square: int) -> int | None:
    found = np.flatnonzero(squares == square)
    return int(found[0]) if len(found) else None


def _holes_of(runs: list[tuple[int, int]]) -> Integers:
    """Return all that lies in the runs, one after another."""
    first, last = np.array(runs, dtype=np.int64).reshape(-1, 2).T
    length = last - first
    return np.repeat(last - np.cumsum(length), length) + np.arange(length.sum())
