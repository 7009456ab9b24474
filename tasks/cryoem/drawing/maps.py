"""Draw where things are: the atlas coloured by score, and a square with its holes."""

import math
from collections.abc import Sequence
from typing import Any, Final

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from models.cryoem.session_pictures import (
    HoleMark,
    HoleState,
    SessionPictures,
    SquareMark,
    nearest,
    of_interest,
    places,
)
from tasks.cryoem.drawing.canvas import SMALL, as_png, say
from tasks.cryoem.palette import BLACK, FAINT, GREY, SCORES, SIGNS, VERMILLION

#: Holes whose place in the order is written on them.
_MOST_NUMBERS: Final = 60
#: Signs that would stand out too much beside a disc of the same area.
_SHARE_OF_SIZE: Final = {HoleState.LEFT_OUT: 0.2, HoleState.UNMEASURED: 0.6, HoleState.GOOD: 0.8}
_ZERO_TO_ONE: Final = Normalize(0.0, 1.0)


def atlas(pictures: SessionPictures) -> bytes:
    """Return the grid's squares, coloured by score, as PNG."""
    return as_png(pictures, "Squares by score", _atlas)


def square(pictures: SessionPictures) -> bytes:
    """Return the holes of the square of interest, their order and state, as PNG."""
    shown = of_interest(pictures.squares)
    name = f"Holes of square {shown.square_id}" if shown else "Holes"
    return as_png(pictures, name, _holes)


def _atlas(figure: Figure, axes: Axes, pictures: SessionPictures) -> None:
    squares = pictures.squares
    if not squares:
        say(axes, "No squares are known yet.")
        return
    at, known = places(squares)
    side = nearest(at)
    boxes = [
        _box(one, place, side if known else 1.0) for one, place in zip(squares, at, strict=True)
    ]
    map_ = colormaps[SCORES]
    colours = [FAINT if one.value is None else map_(one.value) for one in squares]
    edges = [GREY if one.left_out else BLACK for one in squares]
    axes.add_collection(
        PatchCollection(
            boxes,
            facecolors=colours,
            edgecolors=edges,
            linewidths=[0.8 if one.score is not None else 0.3 for one in squares],
        )
    )
    _cross_out(axes, [place for one, place in zip(squares, at, strict=True) if one.left_out])
    shown = of_interest(squares)
    if shown is not None:
        x, y = at[squares.index(shown)]
        axes.plot(x, y, "o", ms=18, mfc="none", mec=VERMILLION, mew=3)
    _as_image(axes, at, side)
    _colour_bar(figure, axes, "mean score of holes (else of the square)")
    handles: list[Any] = [Patch(facecolor=FAINT, edgecolor=BLACK, label="not scored")]
    if any(one.left_out for one in squares):
        handles.append(Line2D([], [], ls="", marker="x", mew=1.5, c=BLACK, label="left out"))
    if shown is not None:
        handles.append(
            Line2D([], [], ls="", marker="o", ms=12, mfc="none", mec=VERMILLION, mew=3,
                   label=f"square {shown.square_id}")
        )  # fmt: skip
    _legend_below(axes, handles)
    if not known:
        axes.set_xlabel("EPU tells no places: squares in order of their number", fontsize=SMALL)


def _box(one: SquareMark, place: tuple[float, float], side: float) -> Rectangle:
    width, height = one.width or side * 0.8, one.height or side * 0.8
    # Larger than the gap to its neighbour, it would hide it.
    shrink = min(1.0, side * 0.95 / max(width, height))
    width, height = width * shrink, height * shrink
    x, y = place
    return Rectangle(
        (x - width / 2, y - height / 2),
        width,
        height,
        angle=math.degrees(one.rotation),
        rotation_point="center",
    )


def _cross_out(axes: Axes, at: Sequence[tuple[float, float]]) -> None:
    xs, ys = [x for x, _ in at], [y for _, y in at]
    # Black on white, to be seen on any score.
    axes.plot(xs, ys, "x", c="white", ms=9, mew=4)
    axes.plot(xs, ys, "x", c=BLACK, ms=7, mew=1.5)


def _as_image(axes: Axes, at: Sequence[tuple[float, float]], margin: float) -> None:
    xs, ys = [x for x, _ in at], [y for _, y in at]
    axes.set_xlim(min(xs) - margin, max(xs) + margin)
    # Pixels count downwards.
    axes.set_ylim(max(ys) + margin, min(ys) - margin)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def _colour_bar(figure: Figure, axes: Axes, label: str) -> None:
    bar = figure.colorbar(ScalarMappable(_ZERO_TO_ONE, SCORES), ax=axes, shrink=0.9)
    bar.set_label(label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL)


def _legend_below(axes: Axes, handles: Sequence[Any]) -> None:
    axes.legend(
        handles=list(handles),
        loc="upper center",
        bbox_to_anchor=(0.5, -0.03),
        ncols=min(3, len(handles)),
        fontsize=SMALL,
        frameon=False,
    )


def _holes(figure: Figure, axes: Axes, pictures: SessionPictures) -> None:
    holes = pictures.holes
    if not holes:
        say(axes, "No holes are known yet.")
        return
    at, known = places(holes)
    side = nearest(at)
    _as_image(axes, at, side)
    size = _marker_size(at, side)
    handles: list[Any] = []
    for state, sign in SIGNS.items():
        some = [n for n, one in enumerate(holes) if one.state is state]
        if not some:
            continue
        colours = [sign.colour or colormaps[SCORES](holes[n].score or 0.0) for n in some]
        is_line = sign.matplotlib == "x"
        axes.scatter(
            [at[n][0] for n in some],
            [at[n][1] for n in some],
            s=size * _SHARE_OF_SIZE.get(state, 1.0),
            marker=sign.matplotlib,
            c=colours,
            linewidths=2.0 if is_line else 0.6,
            edgecolors=None if is_line else BLACK,
        )
        handles.append(
            Line2D([], [], ls="", marker=sign.matplotlib, ms=9, c=sign.colour or "#7C7B78",
                   label=f"{state} ({len(some)})")
        )  # fmt: skip
    _numbers(axes, holes, at, size)
    _colour_bar(figure, axes, "score")
    _legend_below(axes, handles)
    if not known:
        axes.set_xlabel("EPU tells no places: holes in order of their number", fontsize=SMALL)


def _marker_size(at: Sequence[tuple[float, float]], side: float) -> float:
    """Return the area in square points of a sign that fills most of the gap between holes."""
    extent = max(
        max(x for x, _ in at) - min(x for x, _ in at), max(y for _, y in at) - min(y for _, y in at)
    )
    across = 380.0 / (extent / side + 2.0)
    return min(max(0.75 * across, 3.0), 26.0) ** 2


def _numbers(
    axes: Axes, holes: Sequence[HoleMark], at: Sequence[tuple[float, float]], size: float
) -> None:
    ordered = sorted(
        (n for n, one in enumerate(holes) if one.state is HoleState.PLANNED and one.index),
        key=lambda n: holes[n].index or 0,
    )
    for n in ordered[:_MOST_NUMBERS]:
        one = holes[n]
        text = str(one.index)
        axes.annotate(
            text,
            at[n],
            ha="center",
            va="center",
            fontsize=min(SMALL, 1.3 * size**0.5 / max(len(text), 2)),
            color="white" if (one.score or 0.0) < 0.6 else "black",
        )
