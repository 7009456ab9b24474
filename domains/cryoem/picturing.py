"""From what a camera counted to what a person can look at: 8 bits, a part of it, made smaller."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Grey = NDArray[np.uint8]

#: Beyond these shares of the pixels all is black, or white: hot pixels are few.
_DARKEST: Final = 0.5
_BRIGHTEST: Final = 99.5
#: So many pixels tell the contrast of all.
_SAMPLED: Final = 250_000
#: Rows that are worked on at once hold about so many pixels, and no more memory than that.
_BLOCK: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a picture: its centre and its size, in pixels of the whole."""

    x: int
    y: int
    width: int
    height: int

    def slices(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Return the rows and columns of it that are on a picture; they may be none."""
        left, top = self.x - self.width // 2, self.y - self.height // 2
        rows = slice(_within(top, shape[0]), _within(top + self.height, shape[0]))
        columns = slice(_within(left, shape[1]), _within(left + self.width, shape[1]))
        return rows, columns


def _within(place: int, length: int) -> int:
    return min(max(place, 0), length)


def contrast(pixels: Pixels) -> tuple[float, float]:
    """Return the values that are shown black and white; what is not finite does not count."""
    step = max(1, int(np.sqrt(pixels.size / _SAMPLED)))
    sample = np.asarray(pixels[::step, ::step], dtype=np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 0.0
    with np.errstate(all="ignore"):
        low, high = np.percentile(sample, [_DARKEST, _BRIGHTEST])
    if low == high:
        # Nearly all is of one value: what differs from it is what there is to see.
        low, high = sample.min(), sample.max()
    return float(low), float(high)


def stretched(pixels: Pixels, low: float, high: float) -> Grey:
    """Return grey values 0..255, from `low` to `high`; all black where these are the same."""
    grey = np.zeros(pixels.shape, dtype=np.uint8)
    if not high > low:
        return grey
    rows = max(1, _BLOCK // max(1, pixels.shape[1]))
    # Of values near the end of what a float holds, even differences are beyond it.
    with np.errstate(all="ignore"):
        scale = 255 / (high - low)
        for start in range(0, pixels.shape[0], rows):
            block = (np.asarray(pixels[start : start + rows], dtype=np.float64) - low) * scale
            np.nan_to_num(block, copy=False, nan=0, posinf=255, neginf=0)
            grey[start : start + rows] = np.clip(block, 0, 255)
    return grey


def fitted(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Return the width and height that a picture is made smaller to; never larger."""
    height, width = shape
    factor = min(1.0, longest / max(height, width, 1))
    return max(1, round(width * factor)), max(1, round(height * factor))
