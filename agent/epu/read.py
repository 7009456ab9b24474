"""The one entry point to reading an EPU file."""

from pathlib import Path

from agent.epu.atlas import parse_atlas
from agent.epu.files import take_snapshot
from agent.epu.image import parse_image
from agent.epu.names import Kind, classify
from agent.epu.session import parse_session
from agent.epu.square import parse_square
from core.errors import ManifestUnreadable
from domains.cryoem.manifests import AtlasManifest, EpuSession, ImageManifest, SquareManifest

EpuManifest = EpuSession | AtlasManifest | SquareManifest | ImageManifest

_PARSERS = {
    Kind.SESSION: parse_session,
    Kind.ATLAS: parse_atlas,
    Kind.SQUARE: parse_square,
    Kind.IMAGE: parse_image,
}

#: What `AgentSettings.max_file_bytes` says by default.
DEFAULT_MAX_BYTES = 64 * 1024 * 1024


def parse_manifest(path: str, data: bytes) -> EpuManifest:
    """Return what `data` says, read as the kind of file that `path` names.

    Raises:
        ManifestIncomplete: It ends too early: worth reading again later.
        ManifestUnreadable: It is no such manifest, or no kind that is read.
    """
    kind = classify(path).kind
    if kind not in _PARSERS:
        raise ManifestUnreadable(path, "is not a kind of EPU file that is read")
    return _PARSERS[kind](path, data)


def read_manifest(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> EpuManifest:
    """Return what the file says; errors as `parse_manifest` and `take_snapshot`."""
    return parse_manifest(str(path), take_snapshot(path, max_bytes).data)
