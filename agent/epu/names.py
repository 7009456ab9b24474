"""What a path says: the kind of EPU file, and the ids in its file name and folder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import PurePath

from domains.cryoem.manifests import ImageName

#: At most 18 digits, so that every id fits a signed 64-bit integer.
_ID = r"[0-9]{1,18}"
_TIME = r"[0-9]{8}_[0-9]{6}"
_SEPARATOR = re.compile(r"[\\/]+")
_SQUARE = re.compile(rf"GridSquare_({_ID})\.dm", re.IGNORECASE)
_SQUARE_FOLDER = re.compile(rf"GridSquare_({_ID})", re.IGNORECASE)
_SQUARE_IMAGE = re.compile(rf"(GridSquare_{_TIME})\.xml", re.IGNORECASE)
_HOLE_IMAGE = re.compile(rf"(FoilHole_({_ID})_{_TIME})\.xml", re.IGNORECASE)
_MICROGRAPH = re.compile(rf"(FoilHole_({_ID})_Data_({_ID})_{_ID}_{_TIME})\.xml", re.IGNORECASE)


class Kind(StrEnum):
    """The kinds of file in and around a session folder."""

    SESSION = "session"
    ATLAS = "atlas"
    SQUARE = "square"
    IMAGE = "image"
    #: Known or unknown, but nothing that we read: screening files, tiles, pictures.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FileName:
    """A classified path; `square_id` of a square, `image` of an image manifest."""

    kind: Kind
    square_id: int | None = None
    image: ImageName | None = None


_OTHER = FileName(Kind.OTHER)


def classify(path: str | PurePath) -> FileName:
    """Return what a path stands for; case does not matter, nor which slashes separate."""
    return _classified(str(path))


@lru_cache(maxsize=10_000)
def _classified(path: str) -> FileName:
    # A file is asked about several times on its way through us.
    parts = components(path)
    return classify_in(parts[:-1], parts[-1] if parts else "")


def components(path: str | PurePath) -> list[str]:
    """Return the parts of a path, whichever slashes separate them."""
    return [part for part in _SEPARATOR.split(str(path)) if part]


def classify_in(folders: Sequence[str], name: str) -> FileName:
    """Return what a file name stands for in a folder, given as the parts of its path."""
    lowered = name.lower()
    if not lowered.endswith((".dm", ".xml")):
        return _OTHER
    if lowered == "epusession.dm":
        return FileName(Kind.SESSION)
    if lowered == "atlas.dm":
        return FileName(Kind.ATLAS)
    if found := _SQUARE.fullmatch(name):
        return FileName(Kind.SQUARE, square_id=int(found[1]))
    image = _image_name(name, folders)
    return _OTHER if image is None else FileName(Kind.IMAGE, image=image)


def _image_name(name: str, folders: Sequence[str]) -> ImageName | None:
    square_id = _enclosing_square(folders)
    if found := _SQUARE_IMAGE.fullmatch(name):
        return ImageName(level="square", stem=found[1], square_id=square_id)
    if found := _HOLE_IMAGE.fullmatch(name):
        return ImageName(level="hole", stem=found[1], square_id=square_id, hole_id=int(found[2]))
    if found := _MICROGRAPH.fullmatch(name):
        return ImageName(
            level="micrograph",
            stem=found[1],
            square_id=square_id,
            hole_id=int(found[2]),
            location_id=found[3],
        )
    return None


def _enclosing_square(folders: Sequence[str]) -> int | None:
    for folder in reversed(folders):
        if found := _SQUARE_FOLDER.fullmatch(folder):
            return int(found[1])
    return None


def label(path: str | PurePath) -> str:
    """Return what a path stands for in a word or two for people, images by their level."""
    name = classify(path)
    return name.kind.value if name.image is None else f"{name.image.level} image"
