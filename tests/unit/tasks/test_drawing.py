"""The pictures of a session: valid PNG in every ordinary case, and nothing heavy before one."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from uuid import UUID

import pytest
from PIL import Image

from models.cryoem.session_pictures import (
    Exposure,
    HoleMark,
    HoleState,
    SessionPictures,
    SquareMark,
    WeightPoint,
    of_interest,
    places,
)
from tasks.cryoem import drawing
from tests.conftest import ROOT

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
SQUARE = SquareMark(UUID(int=1), 7, 10.0, 20.0, 5.0, 5.0, 0.2, False, 0.7, 0.6, 6, 2, 3)
SQUARES = (
    SQUARE,
    replace(SQUARE, uuid=UUID(int=2), square_id=8, x=30.0, score=None, next_index=None),
    replace(SQUARE, uuid=UUID(int=3), square_id=9, x=50.0, score=None, predicted=None),
    replace(SQUARE, uuid=UUID(int=4), square_id=10, y=40.0, left_out=True, next_index=None),
)
HOLES = tuple(
    HoleMark(
        uuid=UUID(int=100 + n),
        square_uuid=SQUARE.uuid,
        hole_id=n,
        x=10.0 * n,
        y=5.0,
        width=4.0,
        score=None if state is HoleState.UNSCORED else 0.5,
        index=n if state is HoleState.PLANNED else None,
        expected=0.5,
        uncertainty=0.1,
        state=state,
        ctf=None,
    )
    for n, state in enumerate(HoleState)
)
FULL = SessionPictures(
    grid_uuid=UUID(int=9),
    name="visit",
    started_at=START,
    cutoff=6.0,
    squares=SQUARES,
    holes=HOLES,
    weights=tuple(
        WeightPoint(metric, model, START, step, 0.5)
        for metric in ("ctfmaxresolution", "numparticles")
        for model in ("one", "other")
        for step in range(3)
    ),
    exposures=tuple(
        Exposure(START + timedelta(minutes=n), None if n == 4 else 3.0 + n) for n in range(5)
    ),
)
UNPLACED = replace(FULL, squares=tuple(replace(one, x=None) for one in SQUARES))
EARLY = replace(FULL, holes=(), weights=(), exposures=())
ONE = replace(
    FULL,
    squares=(SQUARE,),
    holes=HOLES[:1],
    weights=FULL.weights[:1],
    exposures=FULL.exposures[:1],
)
NOTHING = replace(EARLY, squares=())

Draw = Callable[[SessionPictures], bytes]


@pytest.mark.parametrize(
    "pictures",
    [FULL, UNPLACED, EARLY, ONE, NOTHING],
    ids=["full", "unplaced", "early", "one of each", "nothing"],
)
@pytest.mark.parametrize(
    "draw",
    [drawing.atlas, drawing.square, drawing.weights, drawing.exposures],
    ids=["atlas", "square", "weights", "exposures"],
)
def test_each_picture_is_a_png_whatever_is_known(draw: Draw, pictures: SessionPictures) -> None:
    png = draw(pictures)

    with Image.open(BytesIO(png)) as image:
        assert (image.format, image.size) == ("PNG", (800, 600))
        image.load()
        colours = image.convert("RGB").getcolors(maxcolors=1 << 20)
    assert colours is not None
    assert len(colours) > 5, "an empty picture"


def test_the_square_of_interest_is_that_of_the_next_hole() -> None:
    assert of_interest(SQUARES) == SQUARE
    later = [replace(one, next_index=None) for one in SQUARES]
    busy = replace(later[1], collected=5)
    assert of_interest([later[0], busy]) == busy
    assert of_interest([replace(SQUARE, holes=0)]) is None


def test_what_has_no_place_lies_in_rows() -> None:
    assert places(SQUARES[:2]) == ([(10.0, 20.0), (30.0, 20.0)], True)
    assert places(UNPLACED.squares) == ([(0, 0), (1, 0), (0, 1), (1, 1)], False)
    assert places([]) == ([], True)


def test_a_worker_starts_without_what_draws() -> None:
    program = (
        "import sys, flows.cryoem.refresh_scores, flows.cryoem.close_session; "
        "print([name for name in ('matplotlib', 'plotly', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seconds", [0, 1, 100, 240, 10_000, 86_400 * 2, 86_400 * 40])
def test_a_session_of_any_length_has_a_time_axis(seconds: int) -> None:
    ends = (Exposure(START, 3.0), Exposure(START + timedelta(seconds=seconds), 4.0))
    assert drawing.exposures(replace(NOTHING, exposures=ends)).startswith(b"\x89PNG")
