"""Grids to plan: small ones by hand, and any that hypothesis thinks of."""

import numpy as np
from hypothesis import strategies as st

from domains.cryoem.planning import Floats, GridState

SQUARE_PITCH = 85e-6
HOLE_PITCH = 2.5e-6


def lattice(
    squares: int = 4,
    side: int = 6,
    *,
    predictions: Floats | None = None,
    outcome: Floats | None = None,
    here: tuple[int, int] | None = None,
) -> GridState:
    """Return squares in a row, each of side x side holes in patches of 3 x 3."""
    holes = squares * side**2
    square = np.repeat(np.arange(squares), side**2)
    y, x = (np.tile(axis.ravel(), squares) for axis in np.indices((side, side)))
    across = -(-side // 3)
    square_place = np.column_stack([np.arange(squares) * SQUARE_PITCH, np.zeros(squares)])
    found = np.full(holes, np.nan) if outcome is None else outcome
    predicted = np.empty((0, 0, holes)) if predictions is None else predictions
    models, metrics = predicted.shape[:2]
    return GridState(
        square=square,
        patch=square * across**2 + (y // 3) * across + x // 3,
        place=square_place[square] + np.column_stack([x, y]) * HOLE_PITCH,
        square_place=square_place,
        eligible=np.isnan(found),
        score=np.full(holes, 0.5),
        predictions=predicted,
        weights=np.full((models, metrics), 1 / max(models, 1)),
        outcome=found,
        here=here,
    )


@st.composite
def any_grid(draw: st.DrawFn) -> GridState:
    """Return a grid in which whatever may be missing is missing somewhere."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    holes, squares = draw(st.integers(0, 60)), draw(st.integers(1, 6))
    models, metrics = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    square = np.sort(random.integers(0, squares, holes))
    place = random.normal(0, 1e-5, (holes, 2))
    square_place = random.normal(0, 1e-4, (squares, 2))
    predictions = random.choice([0.0, 0.3, 0.5, 0.9, 1.0, np.nan], (models, metrics, holes))
    outcome = random.choice([0.0, 1.0, np.nan], holes)
    if draw(st.booleans()):
        place[random.random(holes) < 0.3] = np.nan
        square_place[random.random(squares) < 0.5] = np.nan
    patch = square * 10 + random.integers(0, 3, holes)
    at = draw(st.none() | st.integers(0, max(holes - 1, 0)))
    return GridState(
        square=square,
        patch=patch,
        place=place,
        square_place=square_place,
        eligible=random.random(holes) < draw(st.sampled_from([0.0, 0.5, 1.0])),
        score=random.random(holes),
        predictions=predictions,
        weights=random.choice([0.0, 0.4, np.nan], (models, metrics)),
        outcome=outcome if draw(st.booleans()) else np.full(holes, np.nan),
        here=None if at is None or not holes else (int(square[at]), int(patch[at])),
    )
