"""What the pictures of a session show, and where it is drawn.

Places are those of EPU's atlas and square images in pixels, which count downwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class HoleState(StrEnum):
    """How far a hole is."""

    GOOD = "collected, good"
    POOR = "collected, not good"
    UNMEASURED = "collected, not measured yet"
    PLANNED = "in the order"
    UNSCORED = "not scored yet"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class SquareMark:
    """A square, where it is drawn, and how good it should be."""

    uuid: UUID
    square_id: int
    #: Centre on the atlas; None where EPU does not tell.
    x: float | None
    y: float | None
    width: float | None
    height: float | None
    #: Radians.
    rotation: float
    #: Unusable, or not selected.
    left_out: bool
    #: 0..1: mean score of its holes.
    score: float | None
    #: 0..1: mean of the square's own current predictions.
    predicted: float | None
    holes: int
    collected: int
    #: Place in the order of the first of its holes that is to be collected.
    next_index: int | None

    @property
    def value(self) -> float | None:
        """What it is coloured by: the score of its holes, else its own predictions."""
        return self.predicted if self.score is None else self.score


@dataclass(frozen=True, slots=True)
class HoleMark:
    """A hole, where it is drawn, how good it should be, and how far it is."""

    uuid: UUID
    square_uuid: UUID
    hole_id: int
    #: Centre on the square's image; None where EPU does not tell.
    x: float | None
    y: float | None
    #: Diameter in the same pixels.
    width: float | None
    score: float | None
    #: Place in the order, from 1; None where it is not to be collected.
    index: int | None
    #: Expected probability that its micrograph is good, and the standard deviation of that.
    expected: float | None
    uncertainty: float | None
    state: HoleState
    #: Å, of its best micrograph.
    ctf: float | None


@dataclass(frozen=True, slots=True)
class WeightPoint:
    """A model's weight for a metric, from a moment on."""

    metric: str
    model: str
    at: datetime
    #: How many values of the metric had been judged by then.
    step: int
    weight: float


@dataclass(frozen=True, slots=True)
class Exposure:
    """A micrograph."""

    at: datetime
    #: Å; None where it was not measured.
    ctf: float | None


@dataclass(frozen=True, slots=True)
class SessionPictures:
    """Everything that the pictures of a session show."""

    grid_uuid: UUID
    name: str
    started_at: datetime | None
    #: A micrograph is good when its CTF fits to this resolution or better, Å.
    cutoff: float
    squares: tuple[SquareMark, ...]
    #: The holes of one square, or of all.
    holes: tuple[HoleMark, ...]
    #: In order of time.
    weights: tuple[WeightPoint, ...]
    #: In order of time.
    exposures: tuple[Exposure, ...]


def of_interest(squares: Sequence[SquareMark]) -> SquareMark | None:
    """Return the square to look at: where the next hole is, else where most was collected."""
    with_holes = [one for one in squares if one.holes]
    ordered = [one for one in with_holes if one.next_index is not None]
    if ordered:
        return min(ordered, key=lambda one: (one.next_index, one.square_id))
    return max(with_holes, key=lambda one: (one.collected, one.holes), default=None)


class _Placed(Protocol):
    @property
    def x(self) -> float | None: ...
    @property
    def y(self) -> float | None: ...


def places(marks: Sequence[_Placed]) -> tuple[list[tuple[float, float]], bool]:
    """Return where to draw marks, and whether that is where they are.

    Where EPU tells no place of some, all lie side by side, in rows, in the order given.
    """
    known = [(one.x, one.y) for one in marks if one.x is not None and one.y is not None]
    if len(known) == len(marks) and len(set(known)) == len(known):
        return known, True
    columns = math.ceil(math.sqrt(len(marks)))
    return [(float(n % columns), float(n // columns)) for n in range(len(marks))], False


def nearest(points: Sequence[tuple[float, float]]) -> float:
    """Return the usual distance of a point to the one nearest to it; 1 where there is none."""
    some = points[:200]
    distances = sorted(
        min((math.dist(one, other) for other in points if other != one), default=1.0)
        for one in some
    )
    return distances[len(distances) // 2] if distances else 1.0
