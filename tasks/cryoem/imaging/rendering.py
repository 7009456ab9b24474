"""Make a PNG of a picture, or of a part of it."""

import io
from dataclasses import dataclass

from PIL import Image

from core.errors import BadInput
from core.image_settings import ImageSettings
from domains.cryoem.picturing import Part, contrast, fitted, stretched
from tasks.cryoem.imaging.files import PictureFile
from tasks.cryoem.imaging.reading import read

#: Little is gained by more, at several times the price.
_PACKED = 3


class PartOutside(BadInput):
    """The part that is asked for is not on the picture."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is asked of a picture."""

    part: Part | None = None
    #: Its longer side is no longer than that, in pixels of the answer.
    max_side: int | None = None

    @property
    def name(self) -> str:
        """Something else for whatever gives something else."""
        part = self.part
        place = f"{part.x}.{part.y}.{part.width}.{part.height}" if part else ""
        return f"{place}@{self.max_side or ''}"


@dataclass(frozen=True, slots=True)
class Png:
    """A picture to be sent."""

    content: bytes
    #: Of the whole picture that it shows, or shows a part of, in its own pixels.
    width: int
    height: int


def render(file: PictureFile, look: Look, settings: ImageSettings) -> Png:
    """Return a picture with the contrast that its values ask for.

    A part has the contrast of the whole, so that parts can be compared.

    Raises:
        PictureUnreadable: The file is damaged or too large.
        PartOutside: The part is not on the picture.
    """
    pixels = read(file, settings)
    low, high = contrast(pixels)
    height, width = pixels.shape
    if look.part is not None:
        pixels = pixels[look.part.slices(pixels.shape)]
        if not pixels.size:
            raise PartOutside(
                f"x, y, w, h: that part is outside of the picture, which has {width} x {height} "
                "pixels; x and y are its centre."
            )
    image = Image.fromarray(stretched(pixels, low, high))
    longest = min(look.max_side or settings.max_side, settings.max_side)
    size = fitted(pixels.shape, longest)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BOX)
    with io.BytesIO() as written:
        image.save(written, format="PNG", compress_level=_PACKED)
        return Png(written.getvalue(), width, height)
