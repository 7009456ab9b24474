"""Draw how things went: the weights of models, and micrographs, over time."""

from collections.abc import Sequence
from datetime import UTC
from itertools import groupby
from typing import Final

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from models.cryoem.session_pictures import Exposure, SessionPictures, WeightPoint
from tasks.cryoem.drawing.canvas import SMALL, TEXT, TITLE, as_png, new_figure, saved, say
from tasks.cryoem.palette import BLACK, GREEN, SERIES

_DASHES: Final = ("-", "--", "-.", ":")


def weights(pictures: SessionPictures) -> bytes:
    """Return the weights of the models over time, as PNG."""
    figure = new_figure()
    figure.suptitle(f"Weights of models · {pictures.name}", fontsize=TITLE)
    metrics = sorted({one.metric for one in pictures.weights})
    models = sorted({one.model for one in pictures.weights})
    if not metrics:
        axes: Axes = figure.subplots()
        say(axes, "No weights yet: they come with\nthe first measurement.")
        return saved(figure)
    panels = figure.subplots(len(metrics), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for panel, metric in zip(panels, metrics, strict=True):
        _weights(panel, metric, models, [one for one in pictures.weights if one.metric == metric])
    # Many are judged in one moment, so time itself would draw them on top of one another.
    panels[-1].set_xlabel("measurements so far", fontsize=TEXT)
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(
        lines, names, loc="outside lower center", ncols=min(3, len(names)), fontsize=SMALL
    )
    return saved(figure)


def exposures(pictures: SessionPictures) -> bytes:
    """Return how many micrographs were collected, and how many are good, over time, as PNG."""
    return as_png(pictures, "Micrographs", _exposures)


def _weights(axes: Axes, metric: str, models: Sequence[str], points: Sequence[WeightPoint]) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel(metric, fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.grid(alpha=0.3)
    by_model = {
        model: list(some)
        for model, some in groupby(
            sorted(points, key=lambda one: one.model), key=lambda one: one.model
        )
    }
    for n, model in enumerate(models):
        some = by_model.get(model, [])
        axes.plot(
            [one.step for one in some],
            [one.weight for one in some],
            color=SERIES[n % len(SERIES)],
            ls=_DASHES[(n // len(SERIES) + n) % len(_DASHES)],
            lw=2.5,
            drawstyle="steps-post",
            marker="o" if len(some) < 2 else "",
            label=model,
        )


def _exposures(_figure: Figure, axes: Axes, pictures: SessionPictures) -> None:
    taken = pictures.exposures
    if not taken:
        say(axes, "No micrographs yet.")
        return
    good = [one for one in taken if _is_good(one, pictures.cutoff)]
    for some, colour, style, name in (
        (taken, BLACK, "--", f"collected: {len(taken):,}"),
        (good, GREEN, "-", f"CTF ≤ {pictures.cutoff:g} Å: {len(good):,}{_rate(taken, good)}"),
    ):
        axes.plot(
            date2num([taken[0].at, *(one.at for one in some), taken[-1].at]),
            [0, *range(1, len(some) + 1), len(some)],
            color=colour,
            ls=style,
            lw=3,
            drawstyle="steps-post",
            label=name,
        )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("micrographs so far", fontsize=TEXT)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=TEXT, loc="upper left")
    unmeasured = sum(one.ctf is None for one in taken)
    if unmeasured:
        axes.text(
            0.99, 0.02, f"{unmeasured:,} not measured yet", transform=axes.transAxes,
            ha="right", fontsize=SMALL, color="#555555",
        )  # fmt: skip
    _time_axis(axes)


def _is_good(one: Exposure, cutoff: float) -> bool:
    return one.ctf is not None and one.ctf <= cutoff


def _rate(taken: Sequence[Exposure], good: Sequence[Exposure]) -> str:
    hours = (taken[-1].at - taken[0].at).total_seconds() / 3600
    return f" ({len(good) / hours:.0f} an hour)" if hours > 0 else ""


def _time_axis(axes: Axes) -> None:
    locator = AutoDateLocator(tz=UTC, minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.tick_params(labelsize=SMALL)
    axes.set_xlabel("time (UTC)", fontsize=TEXT)
