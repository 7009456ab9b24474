"""What all pictures share: size, type, and how they become PNG.

Figures are objects of their own (no pyplot), so that several threads may draw.
"""

from collections.abc import Callable
from io import BytesIO
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.cryoem.session_pictures import SessionPictures

#: Points of type: still legible when the picture is shown at a third of its size.
TITLE: Final = 18.0
TEXT: Final = 14.0
SMALL: Final = 11.0
#: Inches; at 100 dots each.
_SIZE: Final = (8.0, 6.0)


def new_figure() -> Figure:
    """Return an empty figure."""
    return Figure(figsize=_SIZE, dpi=100, layout="constrained")


def as_png(
    pictures: SessionPictures, title: str, draw: Callable[[Figure, Axes, SessionPictures], None]
) -> bytes:
    """Return a figure with one plot as PNG."""
    figure = new_figure()
    axes: Axes = figure.subplots()
    axes.set_title(f"{title} · {pictures.name}", fontsize=TITLE)
    axes.tick_params(labelsize=SMALL)
    draw(figure, axes, pictures)
    return saved(figure)


def saved(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    out = BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def say(axes: Axes, sentence: str) -> None:
    """Show a sentence in place of a plot."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, sentence, ha="center", va="center", fontsize=TEXT, transform=axes.transAxes)
