"""Where squares lie on a grid, tiles on its atlas and holes in a square."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Distance of neighbouring squares and side of a square's opening, metres (a 400-mesh grid).
PITCH = 60e-6
SIDE = 45e-6
#: A hole this near to the edge of the opening is near the bar, metres.
BAR_MARGIN = 3e-6

#: Metres per pixel of the atlas, of a square's image and of a hole's image.
ATLAS_PIXEL = 3.4e-7
SQUARE_PIXEL = 4.2e-8
HOLE_PIXEL = 1.6e-9
#: Pixels of each image but a micrograph's (a camera of 5760 x 4092, binned by 2).
IMAGE_WIDTH, IMAGE_HEIGHT = 2880, 2046

#: A tile in pixels of the atlas, and how far its neighbour is: they overlap.
TILE_WIDTH, TILE_HEIGHT = 833, 592
_TILE_STEP_X, _TILE_STEP_Y = 803, 562
#: Tiles begin this far from the atlas image's corner, pixels.
_ATLAS_MARGIN = 2


class Place(NamedTuple):
    """A point in the plane; its owner says in what."""

    x: float
    y: float


def square_places(squares: int) -> list[Place]:
    """Return the squares' centres on the stage, nearest to the grid's centre first."""
    reach = math.isqrt(squares) + 2
    cells = [(x, y) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    # Off the lattice's own symmetry, so that no two cells are equally far.
    cells.sort(key=lambda cell: (math.hypot(cell[0] - 0.13, cell[1] + 0.29), cell))
    return [Place(x * PITCH, y * PITCH) for x, y in cells[:squares]]


def tile_places(squares: list[Place]) -> list[Place]:
    """Return the corners of the tiles, in pixels of the atlas, that cover all squares."""
    columns, rows = _mosaic(squares)
    corners = [
        Place(_ATLAS_MARGIN + column * _TILE_STEP_X, _ATLAS_MARGIN + row * _TILE_STEP_Y)
        for row in range(rows)
        for column in range(columns)
    ]
    middle = atlas_center(squares)
    return sorted(
        corners,
        key=lambda corner: math.hypot(
            corner.x + TILE_WIDTH / 2 - middle.x, corner.y + TILE_HEIGHT / 2 - middle.y
        ),
    )


def atlas_center(squares: list[Place]) -> Place:
    """Return the pixel of the atlas that shows the grid's centre."""
    columns, rows = _mosaic(squares)
    return Place(
        _ATLAS_MARGIN + ((columns - 1) * _TILE_STEP_X + TILE_WIDTH) / 2,
        _ATLAS_MARGIN + ((rows - 1) * _TILE_STEP_Y + TILE_HEIGHT) / 2,
    )


def _mosaic(squares: list[Place]) -> tuple[int, int]:
    # Odd numbers of tiles, at least 3 x 3: EPU begins with the one in the middle.
    width = 2 * (max(abs(place.x) for place in squares) + PITCH) / ATLAS_PIXEL
    height = 2 * (max(abs(place.y) for place in squares) + PITCH) / ATLAS_PIXEL
    return (_odd(width / _TILE_STEP_X), _odd(height / _TILE_STEP_Y))


def _odd(tiles: float) -> int:
    return max(3, 2 * math.ceil((tiles - 1) / 2) + 1)


def hole_places(
    holes: int, rotation: float
) -> tuple[float, NDArray[np.float64], NDArray[np.bool_]]:
    """Return a square's lattice of holes: spacing, offsets from its centre, which are near a bar.

    The lattice is square, turned against the bars, and as dense as it takes for `holes` of
    its points to lie in the opening. Metres, row by row as EPU counts them.
    """
    spacing = SIDE / math.sqrt(holes)
    while len(points := _inside(spacing, rotation)) < holes:
        spacing *= 0.98
    from_center = np.abs(points).max(axis=1)
    kept = np.sort(np.argsort(from_center, kind="stable")[:holes])
    near_bar = from_center[kept] > SIDE / 2 - BAR_MARGIN
    return spacing, points[kept], near_bar


def _inside(spacing: float, rotation: float) -> NDArray[np.float64]:
    reach = math.ceil(SIDE / spacing)
    steps = np.arange(-reach, reach + 1, dtype=np.float64) * spacing
    y, x = np.meshgrid(steps, steps, indexing="ij")
    turn = np.array(
        [[math.cos(rotation), math.sin(rotation)], [-math.sin(rotation), math.cos(rotation)]]
    )
    points: NDArray[np.float64] = np.column_stack([x.ravel(), y.ravel()]) @ turn
    return points[np.abs(points).max(axis=1) < SIDE / 2]
