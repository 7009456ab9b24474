"""The one source of time: UTC and aware."""

import re
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")

_DATE = re.compile(r"\d{4}-")


def utcnow() -> datetime:
    """Return the time now, aware, in UTC."""
    return datetime.now(UTC)


def as_text(value: datetime) -> str:
    """Return the time as our API writes it, so that one can be searched for with the other."""
    return as_utc(value).isoformat().replace("+00:00", "Z")


def as_utc(value: datetime) -> datetime:
    """Return the same instant in UTC; a naive time is read as UTC."""
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value.astimezone(UTC)


def written_out(value: T) -> T:
    """Return what was given for a time, unless it is a number: of seconds, or of what?

    Raises:
        ValueError: It is text that does not begin with a year.
    """
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("is no time: write it as 2026-03-01T09:00:00Z")
    return value
