"""Where the pictures of atlases and squares should be, as EPU and clients said."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import NotFound
from models.cryoem.smartem.known import known
from models.cryoem.tables import Acquisition, Atlas, Grid, Square

#: Folders of a session in which EPU puts images begin so.
_IMAGES: Final = "images-disc"


@dataclass(frozen=True)
class Places:
    """Paths to look at in turn, as they were written: of this machine, or of Windows."""

    #: What the picture is of.
    subject: str
    #: Paths of the picture itself.
    files: tuple[str, ...] = ()
    #: Folders that hold the picture of an atlas, or files beside it.
    folders: tuple[str, ...] = ()


def of_atlas(session: Session, grid: UUID) -> Places:
    """Return where the picture of a grid's atlas should be.

    Raises:
        NotFound: There is no such grid.
    """
    found = known(session, Grid, grid)
    atlas = session.scalar(
        select(Atlas).where(col(Atlas.grid_uuid) == grid, col(Atlas.deleted_at).is_(None))
    )
    said = [atlas.path, atlas.storage_folder] if atlas is not None else []
    said += [found.atlas_dir, found.atlas_path]
    return Places(f"the atlas of grid {grid}", folders=_each_once(said))


def of_square(session: Session, square: UUID) -> Places:
    """Return where the picture of a square should be.

    Raises:
        NotFound: There is no such square.
    """
    found = known(session, Square, square)
    manifest = session.scalar(
        select(col(Acquisition.path))
        .join(Grid, col(Grid.acquisition_uuid) == col(Acquisition.uuid))
        .where(col(Grid.uuid) == found.grid_uuid)
    )
    parts = _parts(found.image_path or "")
    if not found.image_path or not parts:
        raise NotFound(f"Of grid square {square} no picture is known: it is not imaged yet.")
    said = [found.image_path]
    if found.data_dir:
        said.append(_joined(found.data_dir, parts[-1:]))
    inside = next((n for n, part in enumerate(parts) if part.lower().startswith(_IMAGES)), None)
    if manifest and inside is not None:
        # The session's folder may be mounted elsewhere than where EPU wrote it.
        folder = manifest.replace("\\", "/").rpartition("/")[0]
        said.append(_joined(folder, parts[inside:]))
    return Places(f"grid square {square}", files=_each_once(said))


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part]


def _joined(folder: str, parts: Iterable[str]) -> str:
    return "/".join([folder.rstrip("/\\"), *parts])


def _each_once(paths: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for path in paths if path))
