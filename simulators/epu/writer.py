"""EPU's files on disk: where each kind lies, and how it gets there."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PureWindowsPath

from domains.cryoem.manifests import AtlasManifest, ImageManifest
from simulators.epu import formats, manifests
from simulators.epu.formats.markup import LOCAL_TIME
from simulators.epu.manifests import SquareProgress
from simulators.epu.truth import GridTruth, SquareTruth

_CHUNK_BYTES = 16 * 1024


class WriteMode(StrEnum):
    """How a file comes to be: EPU writes in place, a file transfer renames into place."""

    IN_PLACE = "in-place"
    RENAME = "rename"


class SessionWriter:
    """Writes the files of one session and its atlas."""

    def __init__(
        self,
        session_dir: Path,
        atlas_dir: Path,
        grid: GridTruth,
        *,
        mode: WriteMode = WriteMode.IN_PLACE,
        chunk_bytes: int = _CHUNK_BYTES,
        after_chunk: Callable[[Path], None] = lambda _path: None,
    ) -> None:
        """Prepare, and touch nothing.

        Args:
            session_dir: The session's own folder.
            atlas_dir: Where atlases lie, outside of the session's folder.
            grid: What is true.
            mode: How files come to be.
            chunk_bytes: How much is written at once, in place.
            after_chunk: Called after each chunk written in place.
        """
        self.session_dir = session_dir
        self._atlas_dir = atlas_dir
        self._grid = grid
        self._mode = mode
        self._chunk_bytes = chunk_bytes
        self._after_chunk = after_chunk

    @property
    def atlas_path(self) -> Path:
        """The atlas' file."""
        folders = PureWindowsPath(manifests.atlas_folder(self._grid)).parts
        return self._atlas_dir.joinpath(*folders, "Atlas", "Atlas.dm")

    @property
    def session_path(self) -> Path:
        """The session's manifest."""
        return self.session_dir / "EpuSession.dm"

    def session(self) -> None:
        """Write EpuSession.dm, as EPU does again and again."""
        session = manifests.session_manifest(self._grid)
        self._put(self.session_path, formats.write_session(session, self._grid.ids))

    def atlas(self) -> None:
        """Write Atlas.dm."""
        atlas: AtlasManifest = manifests.atlas_manifest(self._grid)
        self._put(self.atlas_path, formats.write_atlas(atlas))

    def square(
        self,
        square: SquareTruth,
        progress: SquareProgress | None = None,
        taken: Mapping[int, formats.HoleImages] | None = None,
    ) -> Path:
        """Write a square's Metadata file: small without progress, with its holes once imaged."""
        content = formats.write_square(
            manifests.square_manifest(self._grid, square, progress),
            collection_id=square.collection_id,
            order=self._grid.squares.index(square),
            hole_spacing=square.hole_spacing,
            taken=taken,
        )
        path = self.session_dir / "Metadata" / f"GridSquare_{square.square_id}.dm"
        self._put(path, content)
        return path

    def square_image(self, square: SquareTruth, stem: str, image: ImageManifest) -> None:
        """Write the manifest of a square's image."""
        self._put(self._images(square) / f"{stem}.xml", formats.write_image(image))

    def hole_image(self, square: SquareTruth, stem: str, image: ImageManifest) -> None:
        """Write the manifest of a hole's image."""
        self._put(self._images(square) / "FoilHoles" / f"{stem}.xml", formats.write_image(image))

    def micrograph(self, square: SquareTruth, stem: str, image: ImageManifest) -> None:
        """Write the manifest of a micrograph."""
        self._put(self._images(square) / "Data" / f"{stem}.xml", formats.write_image(image))

    def _images(self, square: SquareTruth) -> Path:
        return self.session_dir / "Images-Disc1" / f"GridSquare_{square.square_id}"

    def _put(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._mode is WriteMode.RENAME:
            partial = path.with_name(path.name + ".part")
            partial.write_bytes(content)
            partial.replace(path)
            return
        # Unbuffered, so that a reader may see a file that ends anywhere.
        with path.open("wb", buffering=0) as file:
            for start in range(0, len(content), self._chunk_bytes):
                file.write(content[start : start + self._chunk_bytes])
                self._after_chunk(path)


def stamp(at: datetime) -> str:
    """Return the time as EPU puts it into file names: local, to the second."""
    return at.astimezone(LOCAL_TIME).strftime("%Y%m%d_%H%M%S")
