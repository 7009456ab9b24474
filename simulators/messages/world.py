"""The grid that simulated messages are about."""

from dataclasses import dataclass
from random import Random
from uuid import UUID

from domains.cryoem import ids


@dataclass(frozen=True, slots=True)
class World:
    """One grid with its squares and their holes, by EPU's ids."""

    #: None where only the grid is known.
    acquisition: UUID | None
    grid: UUID
    squares: dict[int, tuple[int, ...]]

    def square(self, chosen: Random) -> int:
        """Return one of the squares."""
        return chosen.choice(list(self.squares))

    def hole(self, chosen: Random) -> tuple[int, int]:
        """Return a square and one of its holes."""
        square = self.square(chosen)
        return square, chosen.choice(self.squares[square])

    def micrograph(self, chosen: Random) -> tuple[int, str]:
        """Return a hole and the name of an image of it, as EPU writes it."""
        _, hole = self.hole(chosen)
        return hole, stem_of(hole, chosen)


def stem_of(hole: int, chosen: Random) -> str:
    """Return the name of an image of a hole, without its ending."""
    hour, minute, second = chosen.randrange(24), chosen.randrange(60), chosen.randrange(60)
    area = chosen.randrange(4_000_000, 5_000_000)
    return f"FoilHole_{hole}_Data_{area}_1_20260302_{hour:02}{minute:02}{second:02}"


def make_world(
    chosen: Random,
    *,
    grid: UUID | None = None,
    squares: tuple[int, ...] = (),
    holes: tuple[int, ...] = (),
    square_count: int = 12,
    hole_count: int = 12,
) -> World:
    """Return a grid of the given parts; what is not given is made up.

    Args:
        chosen: Of everything made up.
        grid: Uuid of the grid.
        squares: EPU's ids of squares.
        holes: EPU's ids of holes, which are all on the first square.
        square_count: How many squares to make up.
        hole_count: How many holes to make up for each square.
    """
    acquisition = None if grid else random_uuid(chosen)
    count = len(squares) or square_count
    numbers = iter(chosen.sample(range(1_000_000, 9_000_000), count * (hole_count + 1)))
    named = squares or tuple(next(numbers) for _ in range(count))
    made = {square: tuple(next(numbers) for _ in range(hole_count)) for square in named}
    if holes:
        made[named[0]] = holes
    return World(acquisition, grid or ids.grid_of(acquisition or random_uuid(chosen)), made)


def random_uuid(chosen: Random) -> UUID:
    """Return a uuid of a seed, which looks like any random one."""
    return UUID(int=chosen.getrandbits(128), version=4)
