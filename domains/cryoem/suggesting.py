"""Suggest what to image first: the best half, and not too many that look alike."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Final, TypeVar

T = TypeVar("T", bound=Hashable)

#: How many of a cluster are suggested.
SQUARES_OF_A_CLUSTER: Final = 2
HOLES_OF_A_CLUSTER: Final = 4
#: A square that is narrower on the atlas, in its pixels, is broken or lies at the rim.
NARROWEST: Final = 60.0


def square_worth(value: float, width: float | None) -> float:
    """Return what a square is worth: its predicted value 0..1 by its area, in atlas pixels.

    Nothing, for one that is too narrow or of unknown width.
    """
    return value * width**2 if width is not None and width >= NARROWEST else 0.0


def suggested(
    worth: Mapping[T, float], clusters: Mapping[T, int], *, of_a_cluster: int
) -> Sequence[T]:
    """Return what to image first, the best first; of equals, the one named first.

    It is taken from the better half (of an odd number, the smaller half). What is worth nothing,
    or in no cluster, is not suggested.
    """
    best = sorted(worth, key=lambda one: -worth[one])[: len(worth) // 2]
    taken: Counter[int] = Counter()
    found: list[T] = []
    for one in best:
        cluster = clusters.get(one)
        if worth[one] > 0 and cluster is not None and taken[cluster] < of_a_cluster:
            taken[cluster] += 1
            found.append(one)
    return found
