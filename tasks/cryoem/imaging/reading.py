"""Open a picture that may be damaged, or made to harm: MRC, TIFF, JPEG, PNG.

How many pixels there are is read before any of them; nothing is unpacked into more than that.
"""

import math
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile
from mrcfile import utils
from mrcfile.constants import MAP_ID
from mrcfile.dtypes import HEADER_DTYPE
from PIL import Image

from core.errors import BadInput
from core.image_settings import ImageSettings
from domains.cryoem.picturing import Pixels
from tasks.cryoem.imaging.files import PictureFile

#: What the libraries raise when a file is not what it says.
_DAMAGED: Final = (
    OSError,
    MemoryError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    SyntaxError,
    struct.error,
    tifffile.TiffFileError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
#: Decoders of Pillow that may be used; others start programs, or are rarely looked at.
_FORMATS: Final = ("JPEG", "PNG", "TIFF")
_UNCOMPRESSED: Final = 1
#: Whole numbers of 8 and 16 bits, with sign or without, and real ones of 32 and 16.
_MRC_MODES: Final = frozenset({0, 1, 2, 6, 12})


class PictureUnreadable(BadInput):
    """The file of a picture is not one, or is damaged, or too large."""


def read(file: PictureFile, settings: ImageSettings) -> Pixels:
    """Return the pixels of a picture (rows, columns).

    They are copied into memory: a file that gets shorter while it is mapped ends the process.

    Raises:
        PictureUnreadable: It is damaged, of more pixels or bytes than the limits, or of a kind
            that cannot be shown.
    """
    if file.size > settings.max_file_bytes:
        raise PictureUnreadable(
            f"{file.path} has {file.size:,} bytes; the limit is {settings.max_file_bytes:,} "
            "(ATHANOR_IMAGES__MAX_FILE_BYTES)."
        )
    ending = file.path.suffix.lower()
    reader = _mrc if ending == ".mrc" else _tiff if ending in {".tif", ".tiff"} else _pillow
    try:
        return _plane(reader(file.path, settings.max_pixels))
    except PictureUnreadable as refused:
        raise PictureUnreadable(f"{file.path}: {refused}.") from refused
    except _DAMAGED as error:
        raise PictureUnreadable(
            f"{file.path} cannot be read as a picture: {error or type(error).__name__}"
        ) from error


def _mrc(path: Path, most: int) -> Pixels:
    # The library's own reader makes room for whatever a header says that it needs.
    with path.open("rb") as file:
        raw = file.read(HEADER_DTYPE.itemsize)
    head: Any = np.frombuffer(raw, HEADER_DTYPE, count=1)
    order = utils.byte_order_from_machine_stamp(head["machst"][0])
    head = head.view(HEADER_DTYPE.newbyteorder(order))[0]
    if head["map"] != MAP_ID or int(head["mode"]) not in _MRC_MODES:
        raise PictureUnreadable(f"it is no MRC image, or of mode {int(head['mode'])}")
    width, height, layers, more = (int(head[name]) for name in ("nx", "ny", "nz", "nsymbt"))
    _check(width, height, max(1, layers), most)
    kind = np.dtype(utils.dtype_from_mode(int(head["mode"]))).newbyteorder(order)
    shape = (height, width) if layers <= 1 else (layers, height, width)
    return _plain(path, HEADER_DTYPE.itemsize + max(0, more), kind, shape)


def _tiff(path: Path, most: int) -> Pixels:
    with tifffile.TiffFile(path) as whole:
        page = whole.pages.first
        _check(page.imagewidth, page.imagelength, page.samplesperpixel * page.imagedepth, most)
        if page.compression == _UNCOMPRESSED and page.is_memmappable:
            kind: Any = page.dtype
            order = np.dtype(kind).newbyteorder(whole.byteorder)
            return _plain(path, page.dataoffsets[0], order, page.shape)
    # What is packed is unpacked by a library that stops where the picture is full.
    return _pillow(path, most)


def _plain(path: Path, start: int, kind: np.dtype[Any], shape: tuple[int, ...]) -> Pixels:
    """Return values that lie in a file one after the other; as many as the picture has."""
    wanted = math.prod(shape) * kind.itemsize
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(wanted)
    if len(data) < wanted:
        raise PictureUnreadable(f"it ends after {len(data):,} of {wanted:,} bytes of the picture")
    return np.frombuffer(data, kind).reshape(shape)


def _pillow(path: Path, most: int) -> Pixels:
    with Image.open(path, formats=_FORMATS) as image:
        _check(image.width, image.height, 1, most)
        # Colours become the grey that is as bright.
        as_it_is = image.mode == "L" or image.mode.startswith(("I", "F"))
        return np.asarray(image if as_it_is else image.convert("L"))


def _check(width: int, height: int, layers: int, most: int) -> None:
    if width < 1 or height < 1:
        raise PictureUnreadable(f"it has {width} x {height} pixels")
    if width * height * layers > most:
        raise PictureUnreadable(
            f"it has {width:,} x {height:,} pixels in {layers:,} layers; the limit is {most:,} "
            "(ATHANOR_IMAGES__MAX_PIXELS)"
        )


def _plane(pixels: Pixels) -> Pixels:
    """Return rows and columns of grey values, out of a stack of one or of colours."""
    while pixels.ndim > 2 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim == 3 and pixels.shape[2] in {3, 4}:
        pixels = pixels[:, :, :3].mean(axis=2)
    if pixels.ndim != 2 or pixels.dtype.kind not in "biuf":
        raise PictureUnreadable(f"it has {pixels.shape} values of type {pixels.dtype}, no picture")
    return pixels
