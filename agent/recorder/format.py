"""Format 2.0: a tar.gz of `recording.json` (metadata and events) and `chunks/chunk_N.bin`.

An event has these fields and no other: older players of the format refuse more.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    TypeAdapter,
    ValidationError,
)

from core.clock import as_utc
from core.errors import EventRefused

VERSION = "2.0"
DOCUMENT = "recording.json"
CHUNKS = "chunks"
#: Text shorter than this lies in its event, other content in a chunk.
INLINE_BYTES = 1024 * 1024
#: What older recorders put in place of the hash of a file that they could not read.
UNREADABLE = "unreadable_"


class EventType(StrEnum):
    """What happened to a file or folder."""

    INITIAL_DIR = "initial_dir"
    INITIAL_FILE = "initial_file"
    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"
    MOVED = "moved"
    APPENDED = "appended"
    TRUNCATED = "truncated"


_MOMENT = TypeAdapter(datetime)


def _seconds(value: object) -> object:
    """Read a time written as text, too; numbers are seconds since 1970."""
    return as_utc(_MOMENT.validate_python(value)).timestamp() if isinstance(value, str) else value


class Event(BaseModel):
    """One event. Paths are relative to the recorded folder, with forward slashes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    timestamp: Annotated[float, BeforeValidator(_seconds), Field(allow_inf_nan=False)]
    event_type: EventType
    src_path: str
    dest_path: str | None = None
    is_directory: StrictBool = False
    #: Text, or what was appended of it.
    content: str | None = None
    #: Bytes of the whole file after the event.
    size: Annotated[int, Field(ge=0)] | None = None
    #: SHA-256 of the whole file after the event.
    content_hash: str | None = None
    binary_chunk_id: Annotated[str, Field(pattern=r"^chunk_[0-9]{1,18}$")] | None = None
    #: mtime and mtime_ns, append_size, new_size; reason of a placeholder.
    operation_data: dict[str, Any] | None = None
    file_position: Annotated[int, Field(ge=0)] | None = None
    #: The file was there, its content was not kept.
    is_placeholder: StrictBool = False

    @property
    def what(self) -> str:
        """What it is, for a person."""
        return f"{self.event_type} {self.src_path}"

    @property
    def has_content(self) -> bool:
        """Whether the content (or its new part) is in the recording."""
        return self.content is not None or self.binary_chunk_id is not None

    @property
    def digest(self) -> str | None:
        """SHA-256 of the file after the event, None where nobody knows it."""
        known = self.content_hash and not self.content_hash.startswith(UNREADABLE)
        return self.content_hash if known and not self.is_placeholder else None

    @property
    def mtime_ns(self) -> int | None:
        """The file's modification time in nanoseconds since 1970, where it was kept."""
        data = self.operation_data or {}
        exact, rounded = data.get("mtime_ns"), data.get("mtime")
        if isinstance(exact, int) and not isinstance(exact, bool):
            return exact
        return int(rounded * 1e9) if isinstance(rounded, int | float) else None

    @property
    def reason(self) -> str | None:
        """Why the content was not kept, where that is said."""
        return str((self.operation_data or {}).get("reason") or "") or None


class Metadata(BaseModel):
    """What is said of a recording as a whole."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    recorded_at: str = ""
    watch_dir: str = ""
    total_events: int | None = None
    version: str = ""
    platform: str = ""
    #: The program that recorded.
    recorder: str = ""

    @property
    def from_windows(self) -> bool:
        """Whether paths may have backslashes between folders."""
        return self.platform.startswith("win")


def parse_event(number: int, raw: object) -> Event:
    """Return the event that a JSON value holds.

    Raises:
        EventRefused: A field is missing or wrong.
    """
    try:
        return Event.model_validate(raw)
    except ValidationError as error:
        fields = raw if isinstance(raw, dict) else {}
        what = f"{fields.get('event_type', '?')} {fields.get('src_path', '?')}"[:300]
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'event'}: {item['msg']}"
            for item in error.errors(include_url=False, include_context=False)
        )
        raise EventRefused(number, what, reasons) from error
