"""What is true of a simulated grid: where its squares and holes are and how good each hole is.

The microscope shows parts of it, the model guesses at it, and tests compare with it. Lengths
are metres on the stage, pixels those of the image they are named for.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import numpy as np
from numpy.typing import NDArray

from simulators.epu.formats.session import SessionIds
from simulators.epu.layout import Place, hole_places, square_places, tile_places

Floats = NDArray[np.float64]

#: EPU's counter of ids stands anywhere; the real sessions that we know are in the millions.
_FIRST_ID = 20_400_000

#: When a simulated session starts unless told otherwise.
DEFAULT_START = datetime(2026, 1, 12, 8, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HoleTruth:
    """A foil hole; `quality` in 0..1 is what a perfect model would predict."""

    hole_id: int
    offset: Place
    near_bar: bool
    quality: float


@dataclass(frozen=True, slots=True)
class SquareTruth:
    """A grid square; `quality` in 0..1 is the mean of its holes'."""

    square_id: int
    collection_id: int
    place: Place
    rotation: float
    hole_spacing: float
    quality: float
    holes: tuple[HoleTruth, ...]


@dataclass(frozen=True, slots=True)
class TileTruth:
    """A tile of the atlas; its corner in pixels of the atlas."""

    tile_id: int
    corner: Place


@dataclass(frozen=True, slots=True)
class GridTruth:
    """A whole grid, in the order in which EPU would image its squares."""

    name: str
    session_id: int
    atlas_id: int
    started_at: datetime
    ids: SessionIds
    tiles: tuple[TileTruth, ...]
    squares: tuple[SquareTruth, ...]

    @property
    def holes(self) -> Iterator[HoleTruth]:
        """All holes, square by square."""
        return (hole for square in self.squares for hole in square.holes)


def grow_grid(
    seed: int,
    *,
    squares: int = 12,
    holes: int = 600,
    name: str | None = None,
    started_at: datetime = DEFAULT_START,
) -> GridTruth:
    """Return a grid; the same arguments give the same grid.

    Args:
        seed: Of everything random.
        squares: How many squares the atlas shows.
        holes: How many holes all squares have together; each gets its share, more or less.
        name: Of the session, which is the grid's.
        started_at: When the session starts.
    """
    if squares < 1 or holes < squares:
        raise ValueError(f"a grid has squares, and each has a hole: {squares=}, {holes=}")
    random = np.random.default_rng(seed)
    ids = count(_FIRST_ID + 7 * int(random.integers(100_000)), 2)
    places = square_places(squares)
    session_id, atlas_id = next(ids), next(ids)
    session_ids = _session_ids(ids)
    tiles = tuple(TileTruth(next(ids), corner) for corner in tile_places(places))
    square_ids = [(next(ids), next(ids)) for _ in places]
    shares = _shares(random, squares, holes)
    rotation = float(random.uniform(-0.4, 0.4))
    return GridTruth(
        name=name or f"simulated_{seed}",
        session_id=session_id,
        atlas_id=atlas_id,
        started_at=started_at,
        ids=session_ids,
        tiles=tiles,
        squares=tuple(
            _square(random, ids, place, share, pair, rotation)
            for place, share, pair in zip(places, shares, square_ids, strict=True)
        ),
    )


def _session_ids(ids: Iterator[int]) -> SessionIds:
    return SessionIds(
        storage=next(ids),
        sample=next(ids),
        filters=(next(ids), next(ids)),
        template=next(ids),
        autofocus=next(ids),
        exposures=((next(ids), next(ids)),),
    )


def _shares(random: np.random.Generator, squares: int, holes: int) -> list[int]:
    """Return how many holes each square has: about the same, together exactly `holes`."""
    weights = random.uniform(0.85, 1.15, squares)
    ends = np.round(np.cumsum(weights) / weights.sum() * (holes - squares)).astype(int)
    return [int(share) + 1 for share in np.diff(ends, prepend=0)]


def _square(
    random: np.random.Generator,
    ids: Iterator[int],
    place: Place,
    holes: int,
    pair: tuple[int, int],
    rotation: float,
) -> SquareTruth:
    tilt = rotation + float(random.normal(0, 0.02))
    spacing, offsets, near_bar = hole_places(holes, tilt)
    qualities = _qualities(random, offsets, near_bar)
    return SquareTruth(
        square_id=pair[0],
        collection_id=pair[1],
        place=place,
        rotation=tilt,
        hole_spacing=spacing,
        quality=float(qualities.mean()),
        holes=tuple(
            HoleTruth(next(ids), Place(*offset), near, quality)
            for offset, near, quality in zip(
                offsets.tolist(), near_bar.tolist(), qualities.tolist(), strict=True
            )
        ),
    )


def _qualities(random: np.random.Generator, offsets: Floats, near_bar: NDArray[np.bool_]) -> Floats:
    """Return the quality of each hole of a square.

    On the log-odds scale: what the square shares (ice differs most from square to square), a
    field that is smooth over some 15 µm, noise of each hole, and the thicker ice at the bars.
    """
    waves = random.normal(0, 2 * math.pi / 30e-6, (8, 2))
    phases = random.uniform(0, 2 * math.pi, 8)
    field = np.cos(offsets @ waves.T + phases).sum(axis=1) * math.sqrt(2 / 8)
    shared, noise = random.normal(0.3, 1.2), random.normal(0, 0.4, len(offsets))
    log_odds = shared + 0.8 * field + noise - 1.0 * near_bar
    return 1 / (1 + np.exp(-log_odds))
