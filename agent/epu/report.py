"""Messages made of what was read, with ids that a second reading repeats."""

from pathlib import Path
from uuid import UUID

from agent.epu.files import Signature, printable
from agent.epu.names import FileName
from agent.epu.read import EpuManifest
from core.errors import ManifestUnreadable, MessageRejected
from core.ids import ATHANOR, derived
from domains.cryoem import ids
from domains.cryoem.manifests import AtlasManifest, EpuSession, SquareManifest
from models.cryoem.messages import (
    EpuAtlasMessage,
    EpuFailureMessage,
    EpuImageMessage,
    EpuMessage,
    EpuSessionMessage,
    EpuSquareMessage,
    parse_json,
)


def grid_of(path: str, session: EpuSession) -> UUID:
    """Return the uuid of the grid of the session manifest at `path`.

    Raises:
        ManifestUnreadable: Nothing in it tells the session from others.
    """
    try:
        return ids.grid_uuid(session)
    except ValueError as error:
        raise ManifestUnreadable(path, str(error)) from error


def report(
    path: Path,
    name: FileName,
    manifest: EpuManifest,
    *,
    grid: UUID,
    session_dir: Path,
    signature: Signature,
) -> EpuMessage:
    """Return the message that a file was read.

    Its id comes from the grid, the place within the session folder, size and modification
    time: the same state of a file is the same message, a rewritten file another one.
    """
    # The atlas lies outside, and there is one of it: its name is place enough.
    inside = path.is_relative_to(session_dir) and not isinstance(manifest, AtlasManifest)
    place = path.relative_to(session_dir).as_posix() if inside else path.name
    common = {
        "message_id": str(
            derived(grid, "epu", printable(place), signature.size, signature.mtime_ns)
        ),
        "grid_uuid": grid,
        "path": printable(path),
        "observed_at": signature.modified_at,
        "manifest": manifest,
    }
    if isinstance(manifest, EpuSession):
        return EpuSessionMessage(**common)
    if isinstance(manifest, AtlasManifest):
        return EpuAtlasMessage(**common)
    if isinstance(manifest, SquareManifest):
        return EpuSquareMessage(**common)
    assert name.image is not None  # noqa: S101 (only image names are read as image manifests)
    return EpuImageMessage(name=name.image, **common)


def report_failure(
    path: str, reason: str, *, grid: UUID | None, signature: Signature
) -> EpuFailureMessage:
    """Return the message that a file could not be read."""
    text = printable(path)
    return EpuFailureMessage(
        message_id=str(
            derived(ATHANOR, "epu", "failure", text, signature.size, signature.mtime_ns, reason)
        ),
        grid_uuid=grid,
        path=text,
        reason=printable(reason),
        observed_at=signature.modified_at,
    )


def report_refusal(body: bytes, reason: str) -> EpuFailureMessage | None:
    """Return the message that the API refused what a file says; None for a refused report."""
    try:
        refused = parse_json(body)
    except MessageRejected:
        # By another version's lights it is none of ours: kept aside with its reason is enough.
        return None
    if not isinstance(refused, EpuMessage):
        return None
    return EpuFailureMessage(
        message_id=str(derived(ATHANOR, "epu", "refused", refused.message_id)),
        grid_uuid=refused.grid_uuid,
        path=refused.path,
        reason=printable(f"Athanor refused it: {reason}"[:2_000]),
        observed_at=refused.observed_at,
    )
