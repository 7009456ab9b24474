"""Colours and signs of a session's pictures, told apart by people of any colour vision too.

Source: Okabe and Ito 2008, "Color Universal Design"; cividis: Nuñez et al. 2018, "Optimizing
colormaps with consideration for color vision deficiency".
"""

from typing import Final, NamedTuple

from models.cryoem.session_pictures import HoleState

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
GREY: Final = "#8A8A8A"
FAINT: Final = "#D9D9D9"

#: For what has names but no order, such as models.
SERIES: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
#: For scores 0..1; both libraries know it by this name.
SCORES: Final = "cividis"


class Sign(NamedTuple):
    """How a hole's state is drawn: colour, and the form's name in each library."""

    #: None for the colour of its score.
    colour: str | None
    matplotlib: str
    plotly: str


SIGNS: Final = {
    HoleState.PLANNED: Sign(None, "o", "circle"),
    HoleState.GOOD: Sign(GREEN, "s", "square"),
    HoleState.POOR: Sign(VERMILLION, "X", "x"),
    HoleState.UNMEASURED: Sign(SKY, "D", "diamond"),
    HoleState.UNSCORED: Sign(FAINT, "o", "circle"),
    HoleState.LEFT_OUT: Sign(GREY, "x", "x-thin-open"),
}
