"""Recordings made by hand, from the description of the format alone."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

START = 1_700_000_000.0


def sha256(content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()


def event(event_type: str, path: str, at: float = 0.0, **fields: Any) -> dict[str, Any]:
    """An event with all fields that the format has, as its first recorder writes them."""
    return {
        "timestamp": START + at,
        "event_type": event_type,
        "src_path": path,
        "dest_path": None,
        "is_directory": False,
        "content": None,
        "size": None,
        "content_hash": None,
        "binary_chunk_id": None,
        "operation_data": None,
        "file_position": None,
        "is_placeholder": False,
        **fields,
    }


def text(event_type: str, path: str, content: str, at: float = 0.0, **fields: Any) -> dict:
    """An event with a whole text."""
    size = len(content.encode())
    given = {"content": content, "size": size, "content_hash": sha256(content), **fields}
    return event(event_type, path, at, **given)


def document(events: Sequence[Any], **metadata: Any) -> bytes:
    about = {
        "recorded_at": "2025-11-20T10:00:00.123456",
        "watch_dir": "/dls/m12/data",
        "total_events": len(events),
        "version": "2.0",
        "platform": "linux",
        **metadata,
    }
    return json.dumps({"metadata": about, "events": list(events)}, indent=2).encode()


def member(name: str, content: bytes = b"", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def recording(
    folder: Path,
    events: Sequence[Any],
    chunks: Mapping[str, bytes] | None = None,
    **metadata: Any,
) -> Path:
    """A recording as the format's first recorder makes it."""
    return archive(
        folder / "recording.tar.gz",
        member("recording.json", document(events, **metadata)),
        *(member(f"chunks/{name}.bin", content) for name, content in (chunks or {}).items()),
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
