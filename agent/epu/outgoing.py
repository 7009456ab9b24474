"""What lies in the spool."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to keep until the API has it."""

    message_id: str
    kind: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that are sent together, under the same key however often."""

    key: str
    messages: tuple[Outgoing, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that the API refused for good, and why."""

    message_id: str
    kind: str
    path: str
    reason: str
    refused_at: float


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is in the spool; times in seconds since 1970."""

    messages: int
    bytes: int
    oldest: float | None
    dead: int
