"""Which EPU files lie in a folder, and where a session's atlas is."""

import contextlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.epu.files import Signature
from agent.epu.names import FileName, Kind, classify, classify_in, components
from agent.epu.read import DEFAULT_MAX_BYTES, read_manifest
from core.errors import ConfigurationError, ManifestUnreadable
from core.path_map import PathMap
from domains.cryoem.manifests import AtlasManifest, EpuSession

_ORDER = {Kind.SESSION: 0, Kind.ATLAS: 1, Kind.SQUARE: 2}
_LEVELS = {"square": 3, "hole": 4, "micrograph": 5}
_SAMPLE = re.compile(r"Sample([0-9]{1,6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The manifests below a folder, parents first, and the folders that could not be listed."""

    files: tuple[Path, ...]
    signatures: dict[Path, Signature]
    failures: tuple[FileFailure, ...] = ()

    def of(self, *kinds: Kind) -> tuple[Path, ...]:
        """Return the files of these kinds, parents first."""
        return tuple(path for path in self.files if classify(path).kind in kinds)


def rank(name: FileName) -> int:
    """Return where a kind of file stands in the order of parents before children."""
    return _ORDER.get(name.kind, 6) if name.image is None else _LEVELS[name.image.level]


def parents_first(paths: Iterable[Path]) -> list[Path]:
    """Return files so that whatever one refers to stands before it."""
    return sorted(paths, key=lambda path: (rank(classify(path)), str(path)))


def find_session_files(
    session_dir: Path, *, known: Callable[[Path, Signature], bool] = lambda *_: False
) -> ScanResult:
    """Return the manifests below a folder; symbolic links to folders are not followed.

    Args:
        session_dir: The folder.
        known: Tells which files to leave out.

    Raises:
        ConfigurationError: The folder does not exist or cannot be listed.
    """
    check_folder(session_dir)
    ranked: list[tuple[int, str, Path]] = []
    found: dict[Path, Signature] = {}
    failures: list[OSError] = []
    for folder, entries in _folders(str(session_dir), failures):
        parts = components(folder)
        for entry in entries:
            name = classify_in(parts, entry.name)
            # Vanished meanwhile, or a link that leads nowhere: nothing to read yet.
            with contextlib.suppress(OSError):
                if name.kind is not Kind.OTHER and not entry.is_dir():
                    path, signature = Path(entry.path), Signature.of(entry.stat())
                    if not known(path, signature):
                        found[path] = signature
                        ranked.append((rank(name), entry.path, path))
    ranked.sort()
    return ScanResult(
        files=tuple(path for _, _, path in ranked),
        signatures=found,
        failures=tuple(
            FileFailure(str(error.filename), f"cannot be listed: {error.strerror}")
            for error in failures
        ),
    )


def outermost(folders: Collection[Path]) -> list[Path]:
    """Return the folders that lie in no other of them."""
    return [folder for folder in folders if not any(above in folders for above in folder.parents)]


def _folders(folder: str, failures: list[OSError]) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Yield each folder with what is in it; on Windows that tells sizes and times already."""
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            with os.scandir(current) as listing:
                entries = list(listing)
            waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            failures.append(error)
            continue
        yield current, entries


def check_folder(folder: Path) -> None:
    """Refuse what is no folder that we may list.

    Raises:
        ConfigurationError: It says which folder, and why.
    """
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be read: {error.strerror}. "
            "Give the folder of an EPU session, with EpuSession.dm in it, or one above."
        ) from error


def locate_atlas(session: EpuSession, path_map: PathMap, folder: Path | None) -> Path | None:
    """Return where a session's Atlas.dm is or will be; None when it names no atlas.

    Args:
        session: Names its atlas by a path of the microscope PC, and its autoloader slot.
        path_map: Where paths of the microscope PC are here.
        folder: A folder with the atlas somewhere below, which goes before the path map.

    Raises:
        ConfigurationError: No path map fits; or several atlases lie below `folder`, and
            none is the session's.
    """
    if folder is not None:
        return _atlas_below(folder, session)
    return None if session.atlas_path is None else path_map.to_local(session.atlas_path)


def _atlas_below(folder: Path, session: EpuSession) -> Path:
    candidates = find_session_files(folder).of(Kind.ATLAS)
    if not candidates:
        return folder / "Atlas.dm"
    if len(candidates) == 1:
        return candidates[0]
    of_slot = [path for path in candidates if _is_of_slot(path, session.autoloader_slot)]
    if len(of_slot) == 1:
        return of_slot[0]
    wanted = {square.square_id for square in session.squares}
    matching = [path for path in of_slot or candidates if wanted & _square_ids(path)]
    if len(matching) == 1:
        return matching[0]
    raise ConfigurationError(
        f"{len(candidates)} atlases lie below {folder}, and neither the autoloader slot nor "
        "the squares of the session tell which is its own. Give the folder of one sample."
    )


def _is_of_slot(path: Path, slot: int | None) -> bool:
    """Tell whether an atlas lies in Sample<slot + 1>: the slot counts from zero."""
    numbers = [int(found[1]) for part in path.parts if (found := _SAMPLE.fullmatch(part))]
    return slot is not None and bool(numbers) and numbers[-1] == slot + 1


def _square_ids(path: Path) -> set[int]:
    try:
        atlas = read_manifest(path, max_bytes=DEFAULT_MAX_BYTES)
    except ManifestUnreadable:
        # It is asked about as one of several; if it is chosen, reading it again says why.
        return set()
    assert isinstance(atlas, AtlasManifest)  # noqa: S101 (what a file called Atlas.dm is read as)
    return {square.square_id for square in atlas.squares}
