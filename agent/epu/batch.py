"""Reading of several files, in a thread: what each says, or why it cannot be read."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from agent.epu.files import ABSENT, Signature, signature_of, take_snapshot
from agent.epu.read import EpuManifest, parse_manifest
from agent.epu.report import grid_of
from core.errors import ManifestLocked, ManifestUnreadable
from domains.cryoem.manifests import EpuSession

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one state of a file says; `grid` when it is a session manifest."""

    path: Path
    signature: Signature
    digest: bytes
    manifest: EpuManifest
    grid: UUID | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a file cannot be read."""

    path: Path
    signature: Signature
    reason: str
    #: It could not even be opened.
    locked: bool = False


def read_files(paths: Iterable[Path], max_bytes: int) -> list[Reading | Unread]:
    """Return what each file says or why it cannot be read, in order."""
    return [_read_file(path, max_bytes) for path in paths]


def signatures_of(paths: Iterable[Path]) -> dict[Path, Signature | None]:
    """Return each file's signature, None for one that is not there."""
    return {path: signature_of(path) for path in paths}


def _read_file(path: Path, max_bytes: int) -> Reading | Unread:
    try:
        return _read(path, max_bytes)
    except ManifestUnreadable as error:
        locked = isinstance(error, ManifestLocked)
        return Unread(path, signature_of(path) or ABSENT, error.reason, locked)
    except Exception as error:
        logger.exception(
            "Reading %s failed in a way that we do not know",
            path,
            extra={"action": "read_failed", "domain": "cryoem"},
        )
        return Unread(path, signature_of(path) or ABSENT, f"internal error: {error!r}")


def _read(path: Path, max_bytes: int) -> Reading:
    snapshot = take_snapshot(path, max_bytes)
    manifest = parse_manifest(str(path), snapshot.data)
    grid = grid_of(str(path), manifest) if isinstance(manifest, EpuSession) else None
    return Reading(path, snapshot.signature, snapshot.digest, manifest, grid)
