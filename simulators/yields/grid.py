"""The truth of a grid: squares on a lattice, holes in patches, and what each hole would yield.

Each metric is log-normal over holes. Its logarithm is a sum of Gaussian parts, in shares of its
variance: what neighbouring squares have in common, what a square has of its own, a field that is
smooth within the square, and what each hole has of its own. Parameters and where they come from:
benchmarks/README.md.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg import cholesky
from scipy.stats import norm

from domains.cryoem.metrics import CTF, MOTION, PARTICLES
from domains.cryoem.patches import patches
from domains.cryoem.planning import Booleans, Floats, Integers

#: A micrograph is good when its CTF fits to this resolution or better, Å (Fan et al. 2022).
CUT_OFF: Final = 6.0

#: The metrics that are measured, in the order of every array over metrics.
METRICS: Final = (CTF, MOTION, PARTICLES)

#: (K,) which way each is better.
LARGER_IS_BETTER: Final = (False, False, True)

#: For each metric: median where half of a grid is good, spread of the logarithm (its sign says
#: which way is better), and correlation of its latent quality with the CTF's.
_MEASURED: Final = {CTF: (6.0, -0.35, 1.0), MOTION: (12.0, -0.5, 0.7), PARTICLES: (250.0, 0.6, 0.7)}

#: Distance of neighbouring squares of a 300-mesh grid, metres.
_SQUARE_PITCH = 85e-6

_JITTER = 1e-8


@dataclass(frozen=True, slots=True)
class GridKind:
    """A kind of grid: its geometry and how its quality varies."""

    name: str
    #: Squares lie on a lattice of so many columns and rows.
    columns: int
    rows: int
    #: Holes along a square's side, and their distance in metres.
    side: int
    hole_pitch: float
    #: Fraction of holes that are good, over many grids.
    good: float
    #: Shares of the variance: neighbouring squares, square, field within the square, hole.
    neighbours: float
    square: float
    within: float
    hole: float
    #: Correlation lengths: between squares in square pitches, within a square in metres.
    reach_between: float = 1.5
    reach_within: float = 12e-6


#: Few squares are good, and what is good lies together.
HOLEY_CARBON: Final = GridKind(
    name="holey carbon",
    columns=6,
    rows=5,
    side=12,
    hole_pitch=4e-6,
    good=0.4,
    neighbours=0.25,
    square=0.30,
    within=0.25,
    hole=0.20,
)

#: Many holes in a square, and each more on its own.
GOLD: Final = GridKind(
    name="gold",
    columns=5,
    rows=4,
    side=20,
    hole_pitch=2.5e-6,
    good=0.5,
    neighbours=0.10,
    square=0.20,
    within=0.30,
    hole=0.40,
)

KINDS: Final = (HOLEY_CARBON, GOLD)


@dataclass(frozen=True, slots=True)
class Grid:
    """N holes in S squares, in EPU's order: squares as selected, holes row by row."""

    kind: GridKind
    square: Integers
    patch: Integers
    place: Floats
    square_place: Floats
    #: (K, N) latent quality of each metric: standard normal over many grids, larger is better.
    latent: Floats
    #: (K, N) what would be measured: Å, Å and number of particles.
    value: Floats
    #: (K, N) whether the metric is as good as CUT_OFF, or as the same fraction of all holes.
    fine: Booleans

    @property
    def good(self) -> Booleans:
        """(N,) whether each hole's micrograph would be good."""
        return self.fine[METRICS.index(CTF)]


def grow(kind: GridKind, seed: int) -> Grid:
    """Return a grid of this kind; the same seed gives the same grid."""
    random = np.random.default_rng((seed, 1))
    square_place = _square_places(kind)
    offsets = _hole_offsets(kind)
    squares, holes = len(square_place), len(offsets)
    fields = [_field(random, kind, square_place, offsets) for _ in METRICS]
    latent = np.stack(
        [
            _MEASURED[metric][2] * fields[0] + math.sqrt(1 - _MEASURED[metric][2] ** 2) * field
            for metric, field in zip(METRICS, fields, strict=True)
        ]
    )
    bar = float(norm.ppf(1 - kind.good))
    square = np.repeat(np.arange(squares), holes)
    place = (square_place[:, None, :] + offsets).reshape(-1, 2)
    return Grid(
        kind=kind,
        square=square,
        patch=patches(place, square),
        place=place,
        square_place=square_place,
        latent=latent,
        value=np.stack(
            [
                _MEASURED[metric][0] * np.exp(_MEASURED[metric][1] * (row - bar))
                for metric, row in zip(METRICS, latent, strict=True)
            ]
        ),
        fine=latent >= bar,
    )


def _square_places(kind: GridKind) -> Floats:
    """Return the squares' places in the order of selection: row by row, to and fro."""
    rows = [
        [(x if y % 2 == 0 else kind.columns - 1 - x, y) for x in range(kind.columns)]
        for y in range(kind.rows)
    ]
    return np.array([cell for row in rows for cell in row], dtype=np.float64) * _SQUARE_PITCH


def _hole_offsets(kind: GridKind) -> Floats:
    """Return a square's holes, row by row: offset from its centre in metres."""
    y, x = (axis.ravel() for axis in np.indices((kind.side, kind.side), dtype=np.float64))
    return (np.column_stack([x, y]) - (kind.side - 1) / 2) * kind.hole_pitch


def _field(
    random: np.random.Generator, kind: GridKind, square_place: Floats, offsets: Floats
) -> Floats:
    """Return a field over the grid's holes, standard normal over many grids."""
    between = _smooth(square_place, kind.reach_between * _SQUARE_PITCH)
    within = _smooth(offsets, kind.reach_within)
    squares, holes = len(square_place), len(offsets)
    per_square = math.sqrt(kind.neighbours) * (between @ random.normal(size=squares))
    per_square += math.sqrt(kind.square) * random.normal(size=squares)
    per_hole = math.sqrt(kind.within) * (random.normal(size=(squares, holes)) @ within.T)
    per_hole += math.sqrt(kind.hole) * random.normal(size=(squares, holes))
    return (per_square[:, None] + per_hole).ravel()


def _smooth(place: Floats, reach: float) -> Floats:
    """Return the Cholesky factor of a squared-exponential covariance over places."""
    apart = ((place[:, None, :] - place[None, :, :]) ** 2).sum(axis=2)
    covariance = np.exp(-apart / (2 * reach**2)) + _JITTER * np.eye(len(place))
    return np.asarray(cholesky(covariance, lower=True), dtype=np.float64)
