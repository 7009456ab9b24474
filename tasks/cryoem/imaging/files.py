"""Find the file of a picture: below the folders that are set, and nowhere else.

Paths come from clients. Whatever they name, and wherever links lead, only files that really lie
below the configured folders are looked at.
"""

import logging
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from core.errors import ConfigurationError, NotFound
from core.image_settings import ImageSettings
from core.path_map import PathMap
from models.cryoem.smartem.picture_places import Places

logger = logging.getLogger(__name__)

#: Endings of pictures, those that say most first.
ENDINGS: Final = (".mrc", ".tiff", ".tif", ".jpg", ".jpeg", ".png")
_ATLAS: Final = re.compile(r"atlas.*(\.mrc|\.tiff?|\.jpe?g|\.png)", re.IGNORECASE)
#: Entries of a folder that are looked at.
_MOST_ENTRIES: Final = 20_000
#: Paths that an answer names.
_MOST_NAMED: Final = 6


class PictureMissing(NotFound):
    """There is no file of this picture."""


@dataclass(frozen=True)
class PictureFile:
    """A file of a picture, as it is now."""

    path: Path
    size: int
    changed_ns: int

    @property
    def version(self) -> str:
        """Something else whenever the file is another or changes."""
        text = f"{self.path}\x00{self.changed_ns}\x00{self.size}"
        return blake2b(os.fsencode(text), digest_size=16).hexdigest()


class Finder:
    """Looks for pictures below the folders that are set."""

    def __init__(self, settings: ImageSettings) -> None:
        """Take where to look.

        Raises:
            ConfigurationError: A pair of the path map is not understood.
        """
        self._map = PathMap.parse(settings.path_map)
        self._roots = settings.roots

    def find(self, places: Places) -> PictureFile:
        """Return the file of a picture: the first that is there.

        Raises:
            PictureMissing: None is, or may be looked at; the error names the paths.
        """
        if not self._roots:
            raise PictureMissing(
                f"The picture of {places.subject} is not looked for: no folders are set to read "
                "pictures from (ATHANOR_IMAGES__ROOTS)."
            )
        # Folders may be mounted, or links to others moved, while we run.
        roots = [root.expanduser().resolve() for root in self._roots]
        tried: list[str] = []
        for text in dict.fromkeys((*places.files, *places.folders)):
            local, why = self._local(text, roots)
            if local is None:
                tried.append(f"{text} ({why})")
                continue
            in_folder = text in places.folders
            for path in _in_folder(local, roots) if in_folder else _by_endings(local):
                found = _picture(path, roots)
                if found is not None:
                    return found
            tried.append(f"{local} ({'no Atlas picture there' if in_folder else 'not there'})")
        named = "; ".join(tried[:_MOST_NAMED]) or "nobody told where it is"
        raise PictureMissing(f"There is no picture of {places.subject}: {named}.")

    def _local(self, text: str, roots: Sequence[Path]) -> tuple[Path | None, str]:
        """Return where a path is on this machine, or why it is not looked at."""
        try:
            local = self._map.to_local(text)
        except ConfigurationError:
            return None, "not a plain path of this machine, see ATHANOR_IMAGES__PATH_MAP"
        if _inside(local, roots) is None:
            logger.warning(
                "A picture was asked for at %s, which is not below ATHANOR_IMAGES__ROOTS",
                local,
                extra={"action": "picture_refused", "domain": "cryoem"},
            )
            return None, "not below the folders that pictures are read from"
        return local, ""


def _inside(path: Path, roots: Sequence[Path]) -> Path | None:
    """Return where a path leads, links followed; None outside of all roots."""
    try:
        # Without a look at what is there: outside, nobody learns what exists.
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):
        # Links in a circle, a name that is too long, or a NUL in it.
        return None
    return real if any(real.is_relative_to(root) for root in roots) else None


def _picture(path: Path, roots: Sequence[Path]) -> PictureFile | None:
    """Return the file, if it is an ordinary one inside of the roots."""
    real = _inside(path, roots)
    if real is None:
        return None
    try:
        found = real.stat(follow_symlinks=False)
    except OSError:
        return None
    # To open a pipe would wait for who writes it.
    if not stat.S_ISREG(found.st_mode):
        return None
    return PictureFile(real, found.st_size, found.st_mtime_ns)


def _by_endings(path: Path) -> Iterator[Path]:
    """Yield the picture that is named, then those of the same name in other formats."""
    is_picture = path.suffix.lower() in ENDINGS
    if is_picture:
        yield path
    for ending in ENDINGS:
        yield path.with_suffix(ending) if is_picture else path.with_name(path.name + ending)


def _in_folder(path: Path, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the atlas pictures of a folder, or beside a file, those that say most first."""
    if path.suffix.lower() in ENDINGS:
        yield from _by_endings(path)
        return
    for folder in (path, path.parent):
        if _inside(folder, roots) is not None:
            yield from sorted(_atlases(folder), key=_preference)


def _atlases(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [
                folder / entry.name
                for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False)
                if _ATLAS.fullmatch(entry.name)
            ]
    except OSError:
        return []


def _preference(path: Path) -> tuple[int, int]:
    """Return what sorts by ending, then the newest first: an atlas may be taken again."""
    try:
        changed = path.lstat().st_mtime_ns
    except OSError:
        changed = 0
    return ENDINGS.index(path.suffix.lower()), -changed
