"""What deciding was worth in one simulated session: against EPU's own order on the same grid."""

from collections.abc import Collection
from dataclasses import dataclass

from simulators.epu.microscope import EXPOSURE_MINUTES, HOLE_MINUTES, SQUARE_MINUTES, Plan
from simulators.epu.truth import GridTruth, HoleTruth

#: A hole of this quality or better gives a good micrograph.
GOOD = 0.5


@dataclass(frozen=True, slots=True)
class Worth:
    """Micrographs of the same microscope time, and how many of them are good."""

    #: Simulated minutes after the atlas.
    minutes: float
    decided: int
    decided_good: int
    own: int
    own_good: int


def worth(grid: GridTruth, collected: Collection[int], plan: Plan | None = None) -> Worth:
    """Compare what a microscope collected by decisions with what EPU collects in that time.

    Left alone, EPU takes the squares as they come and on each the first holes away from the
    grid bars, as many as the plan allows.

    Args:
        grid: What is true.
        collected: The holes of the micrographs; each square of the grid was imaged for them.
        plan: How many holes a square gives at most.
    """
    taken = set(collected)
    minutes = SQUARE_MINUTES * len(grid.squares) + _EACH * len(taken)
    own = _own_order(grid, minutes, plan or Plan())
    return Worth(
        minutes=minutes,
        decided=len(taken),
        decided_good=sum(_is_good(hole) for hole in grid.holes if hole.hole_id in taken),
        own=len(own),
        own_good=sum(map(_is_good, own)),
    )


_EACH = HOLE_MINUTES + EXPOSURE_MINUTES


def _is_good(hole: HoleTruth) -> bool:
    return hole.quality >= GOOD


def _own_order(grid: GridTruth, minutes: float, plan: Plan) -> list[HoleTruth]:
    taken: list[HoleTruth] = []
    for square in grid.squares:
        minutes -= SQUARE_MINUTES
        holes = [hole for hole in square.holes if not hole.near_bar][: plan.collected_per_square]
        # Rounded, as 70 exposures of 0.3 minutes are not quite 21 minutes.
        room = max(int(round(minutes / _EACH, 6)), 0)
        taken += holes[:room]
        minutes -= _EACH * len(holes[:room])
        if room <= len(holes):
            break
    return taken
