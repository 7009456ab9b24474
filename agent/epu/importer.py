"""A session that lies on disk, finished or not, read at once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from agent.epu.files import take_snapshot
from agent.epu.names import Kind, classify
from agent.epu.read import DEFAULT_MAX_BYTES, parse_manifest
from agent.epu.report import grid_of, report
from agent.epu.scan import FileFailure, ScanResult, find_session_files, locate_atlas
from core.errors import ConfigurationError, ManifestUnreadable
from core.path_map import PathMap
from domains.cryoem.manifests import EpuSession
from models.cryoem.messages import EpuMessage


@dataclass(frozen=True, slots=True)
class SessionReading:
    """What a session folder and its atlas say: messages parents first, and what failed."""

    session: EpuSession
    grid_uuid: UUID
    messages: tuple[EpuMessage, ...]
    failures: tuple[FileFailure, ...]


def read_session(
    session_dir: Path,
    *,
    atlas: Path | None = None,
    path_map: PathMap | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> SessionReading:
    """Read a session folder and its atlas; a file that cannot be read does not stop the rest.

    Args:
        session_dir: The folder with EpuSession.dm.
        atlas: A folder with the session's atlas somewhere below, or Atlas.dm itself.
        path_map: Where paths of the microscope PC are here, to find the atlas by AtlasId.
        max_bytes: Larger files are failures.
        progress: Called with the files done and all files.

    Raises:
        ConfigurationError: A folder cannot be read, or holds no EpuSession.dm or Atlas.dm.
        ManifestUnreadable: EpuSession.dm cannot be read, so nothing can be named.
    """
    found = find_session_files(session_dir)
    session_path = _session_path(session_dir, found)
    session = _read_session_manifest(session_path, max_bytes)
    grid = grid_of(str(session_path), session)
    failures = list(found.failures)
    atlas_path = _atlas_path(session, path_map or PathMap(), atlas, failures)
    files = [
        session_path,
        *((atlas_path,) if atlas_path else ()),
        *_children(session_dir, found),
    ]
    messages: list[EpuMessage] = []
    for done, path in enumerate(files, start=1):
        try:
            messages.append(_read_one(path, grid, session_dir, max_bytes))
        except ManifestUnreadable as error:
            failures.append(FileFailure(error.path, error.reason))
        if progress is not None:
            progress(done, len(files))
    return SessionReading(session, grid, tuple(messages), tuple(failures))


def _session_path(session_dir: Path, found: ScanResult) -> Path:
    candidates = [path for path in found.of(Kind.SESSION) if path.parent == session_dir]
    if candidates:
        return candidates[0]
    below = ", ".join(str(path.parent) for path in found.of(Kind.SESSION)[:3])
    hint = f"It lies in {below}: give that folder." if below else "Give an EPU session folder."
    raise ConfigurationError(f"The folder {session_dir} holds no EpuSession.dm. {hint}")


def _children(session_dir: Path, found: ScanResult) -> list[Path]:
    """Return the session's squares and images, and none of a session nested in its folder."""
    nested = [path.parent for path in found.of(Kind.SESSION) if path.parent != session_dir]
    return [
        path
        for path in found.of(Kind.SQUARE, Kind.IMAGE)
        if not any(path.is_relative_to(folder) for folder in nested)
    ]


def _read_session_manifest(path: Path, max_bytes: int) -> EpuSession:
    manifest = parse_manifest(str(path), take_snapshot(path, max_bytes).data)
    assert isinstance(manifest, EpuSession)  # noqa: S101 (what a file called EpuSession.dm is read as)
    return manifest


def _atlas_path(
    session: EpuSession, path_map: PathMap, atlas: Path | None, failures: list[FileFailure]
) -> Path | None:
    if atlas is not None:
        path = atlas if atlas.is_file() else locate_atlas(session, path_map, atlas)
        if path is None or not path.is_file():
            raise ConfigurationError(f"No Atlas.dm lies below {atlas}.")
        return path
    try:
        return locate_atlas(session, path_map, None)
    except ConfigurationError as error:
        # The session is worth having without its atlas, as long as that is said.
        failures.append(FileFailure(session.atlas_path or "Atlas.dm", str(error)))
        return None


def _read_one(path: Path, grid: UUID, session_dir: Path, max_bytes: int) -> EpuMessage:
    snapshot = take_snapshot(path, max_bytes)
    return report(
        path,
        classify(path),
        parse_manifest(str(path), snapshot.data),
        grid=grid,
        session_dir=session_dir,
        signature=snapshot.signature,
    )
