"""The report's plots, as plotly draws them; the same as the pictures in Prefect's pages."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from models.cryoem.session_pictures import (
    Exposure,
    HoleMark,
    HoleState,
    SessionPictures,
    SquareMark,
    places,
)
from tasks.cryoem.palette import BLACK, FAINT, GREEN, GREY, SCORES, SERIES, SIGNS

_DASHES: Final = ("solid", "dash", "dashdot", "dot")
#: Pixels.
_HEIGHT: Final = 460
#: Holes of a square up to which each has its place in the order written beside it.
_MOST_NUMBERED: Final = 150
#: Signs that are lines, without a face.
_LINES: Final = frozenset({"x-thin-open"})
_EDGE: Final = {"width": 1, "color": BLACK}


def atlas(squares: Sequence[SquareMark]) -> go.Figure:
    """Return the squares, coloured by score; a click on one names it in `customdata`."""
    figure = _figure()
    at, known = places(squares)
    scored = [n for n, one in enumerate(squares) if one.value is not None]
    unscored = [n for n, one in enumerate(squares) if one.value is None]
    for some, name in ((scored, "scored"), (unscored, "not scored")):
        if not some:
            continue
        colour: dict[str, Any] = (
            {
                "color": [squares[n].value for n in some],
                "colorscale": SCORES,
                "cmin": 0,
                "cmax": 1,
                "colorbar": {"title": {"text": "mean score", "side": "right"}},
            }
            if name == "scored"
            else {"color": FAINT}
        )
        figure.add_scatter(
            x=[at[n][0] for n in some],
            y=[at[n][1] for n in some],
            mode="markers",
            name=name,
            marker={
                "symbol": "square",
                "size": _size(len(squares)),
                "line": {"width": 1, "color": BLACK},
                **colour,
            },
            text=[_told_square(squares[n]) for n in some],
            hovertemplate="%{text}<extra></extra>",
            customdata=[squares[n].square_id for n in some],
        )
    left_out = [n for n, one in enumerate(squares) if one.left_out]
    if left_out:
        figure.add_scatter(
            x=[at[n][0] for n in left_out],
            y=[at[n][1] for n in left_out],
            mode="markers",
            name="left out",
            marker={"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": BLACK}},
            hoverinfo="skip",
        )
    _as_image(figure, known, "squares")
    return figure


def _size(count: int) -> float:
    """Return a sign's size in pixels that leaves gaps on a plot of that many in rows."""
    return max(4.0, min(26.0, 260.0 / max(count, 1) ** 0.5))


def _told_square(one: SquareMark) -> str:
    lines = [f"<b>square {one.square_id}</b>"]
    if one.score is not None:
        lines.append(f"mean score of its holes {one.score:.3f}")
    if one.predicted is not None:
        lines.append(f"predicted {one.predicted:.3f}")
    lines.append(f"{one.collected} of {one.holes} holes collected")
    if one.next_index is not None:
        lines.append(f"its next hole is number {one.next_index} of the order")
    if one.left_out:
        lines.append("left out: unusable, or not selected")
    return "<br>".join(lines)


def holes(marks: Sequence[HoleMark], square_id: int) -> dict[str, Any]:
    """Return the traces and layout of one square's holes."""
    figure = _figure()
    at, known = places(marks)
    by_state: dict[HoleState, list[int]] = {}
    for n, one in enumerate(marks):
        by_state.setdefault(one.state, []).append(n)
    for state, sign in SIGNS.items():
        some = by_state.get(state, [])
        if not some:
            continue
        figure.add_scatter(
            x=[round(at[n][0], 1) for n in some],
            y=[round(at[n][1], 1) for n in some],
            mode="markers+text" if len(marks) <= _MOST_NUMBERED else "markers",
            name=f"{state} ({len(some)})",
            marker={
                "symbol": sign.plotly,
                "size": max(8.0, _size(len(marks))),
                "line": {"width": 2, "color": GREY} if sign.plotly in _LINES else _EDGE,
                **_coloured([marks[n] for n in some], sign.colour),
            },
            text=[str(marks[n].index or "") for n in some],
            textposition="top center",
            textfont={"size": 10},
            customdata=[_told_hole(marks[n]) for n in some],
            hovertemplate="%{customdata}<extra></extra>",
        )
    _as_image(figure, known, "holes")
    figure.update_layout(title={"text": f"Square {square_id}", "font": {"size": 15}})
    return plain(figure)


def _coloured(some: Sequence[HoleMark], colour: str | None) -> dict[str, Any]:
    if colour is not None:
        return {"color": colour}
    return {
        "color": [round(one.score or 0.0, 3) for one in some],
        "colorscale": SCORES,
        "cmin": 0,
        "cmax": 1,
        "colorbar": {"title": {"text": "score", "side": "right"}},
    }


def _told_hole(one: HoleMark) -> str:
    lines = [f"<b>hole {one.hole_id}</b>", str(one.state)]
    if one.score is not None:
        lines.append(f"score {one.score:.3f}")
    if one.index is not None:
        lines.append(f"number {one.index} of the order")
    if one.expected is not None and one.uncertainty is not None:
        lines.append(f"expected to be good {one.expected:.3f} ± {one.uncertainty:.3f}")
    if one.ctf is not None:
        lines.append(f"CTF {one.ctf:.2f} Å")
    return "<br>".join(lines)


def weights(pictures: SessionPictures) -> go.Figure:
    """Return the weights of models over time, one plot for each metric."""
    metrics = sorted({one.metric for one in pictures.weights})
    models = sorted({one.model for one in pictures.weights})
    figure = make_subplots(
        rows=max(len(metrics), 1),
        cols=1,
        shared_xaxes=True,
        subplot_titles=metrics or None,
        vertical_spacing=0.09,
    )
    by_line = {
        key: list(some)
        for key, some in groupby(
            sorted(pictures.weights, key=lambda one: (one.metric, one.model)),
            key=lambda one: (one.metric, one.model),
        )
    }
    for (metric, model), some in by_line.items():
        n = models.index(model)
        figure.add_scatter(
            x=[one.step for one in some],
            y=[round(one.weight, 5) for one in some],
            text=[f"{one.at:%Y-%m-%d %H:%M:%S} UTC" for one in some],
            hovertemplate="%{fullData.name} %{y:.3f} after %{x}<br>%{text}<extra></extra>",
            mode="lines+markers" if len(some) == 1 else "lines",
            name=model,
            legendgroup=model,
            showlegend=metric == metrics[0],
            line={
                "shape": "hv",
                "width": 2.5,
                "color": SERIES[n % len(SERIES)],
                "dash": _DASHES[n % len(_DASHES)],
            },
            row=metrics.index(metric) + 1,
            col=1,
        )
    figure.update_yaxes(range=[-0.03, 1.03])
    if metrics:
        figure.update_xaxes(title="measurements so far", row=len(metrics), col=1)
    _laid_out(figure)
    return figure


def exposures(pictures: SessionPictures) -> go.Figure:
    """Return how many micrographs were collected, and how many are good, over time."""
    figure = _figure()
    taken = pictures.exposures
    good = [one for one in taken if one.ctf is not None and one.ctf <= pictures.cutoff]
    _line(figure, taken, f"collected ({len(taken):,})", BLACK, "dash")
    _line(figure, good, f"CTF ≤ {pictures.cutoff:g} Å ({len(good):,})", GREEN, "solid")
    figure.update_yaxes(title="micrographs so far", rangemode="tozero")
    figure.update_xaxes(title="time (UTC)")
    return figure


def _line(figure: go.Figure, some: Sequence[Exposure], name: str, colour: str, dash: str) -> None:
    figure.add_scatter(
        x=[one.at for one in some],
        y=list(range(1, len(some) + 1)),
        mode="lines+markers" if len(some) == 1 else "lines",
        name=name,
        line={"shape": "hv", "width": 3, "color": colour, "dash": dash},
    )


def _figure() -> go.Figure:
    figure = go.Figure()
    _laid_out(figure)
    return figure


def _laid_out(figure: go.Figure) -> None:
    figure.update_layout(
        template="plotly_white",
        height=_HEIGHT,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        legend={"orientation": "h", "yanchor": "top", "y": -0.17, "x": 0},
        font={"size": 13},
    )


def _as_image(figure: go.Figure, known: bool, what: str) -> None:
    # Pixels count downwards.
    figure.update_yaxes(autorange="reversed", scaleanchor="x", showticklabels=False, zeroline=False)
    figure.update_xaxes(
        showticklabels=False,
        zeroline=False,
        title=None if known else f"EPU tells no places: {what} in order of their number",
    )


def plain(figure: go.Figure) -> dict[str, Any]:
    """Return a figure as JSON values, without the template's defaults for kinds not used."""
    found = figure.to_plotly_json()
    template = found["layout"].pop("template", None)
    assert template is not None  # noqa: S101 (set for all)
    return found
