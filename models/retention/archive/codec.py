"""Rows as lines of JSON and back, with every value checked against its column."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, NoReturn
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Table,
    Uuid,
)
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel

from core.errors import ArchiveRefused
from models.sql import table_of

#: Columns that hold the number of a message in the inbox.
MESSAGE_NUMBERS: Final = frozenset({"message_seq", "life_seq"})
#: Columns that count rows of their own table.
ROW_NUMBERS: Final = {("outbox_message", "seq"), ("agent_log", "id")}
#: Longest line that is read, in bytes: a message has at most a few megabytes.
LINE_BYTES: Final = 64 * 1024**2


def encode(row: Mapping[str, Any]) -> bytes:
    """Return a row as one line; the same row always as the same."""
    plain = {name: _plain(value) for name, value in row.items()}
    # Plain ASCII, whatever halves of characters a sender may have put into a message.
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _plain(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case _:
            return value


def decode(model: type[SQLModel], line: bytes, *, older: bool) -> dict[str, Any]:
    """Return a line as a row of the table.

    Args:
        model: The table.
        line: As `encode` makes it.
        older: Whether the schema was an older one, so that columns may be missing.

    Raises:
        ArchiveRefused: It is no row of the table.
    """
    found = _parsed(line)
    columns = _columns(table_of(model))
    unknown = found.keys() - columns.keys()
    if unknown:
        raise ArchiveRefused(f"there is no column {min(unknown)!r}")
    row: dict[str, Any] = {}
    escaped = b"\\u" in line
    for name, column in columns.items():
        if name not in found and not (older and column.nullable):
            raise ArchiveRefused(f"the column {name} is missing")
        row[name] = _value(column, found.get(name), check=escaped)
    return row


@cache
def _columns(table: Table) -> dict[str, Column[Any]]:
    return {column.name: column for column in table.columns}


def place(model: type[SQLModel], row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what rows of a table are in the order of: their keys, uuids as their digits."""
    keys = [row[column.name] for column in table_of(model).primary_key.columns]
    return tuple(str(key) if isinstance(key, UUID) else key for key in keys)


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ArchiveRefused("it is no JSON that can be stored") from error
    if not isinstance(found, dict):
        raise ArchiveRefused("it is no row")
    return found


def _check_text(value: Any) -> None:
    """Refuse what PostgreSQL does not store: NUL, and halves of characters."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            if "\x00" in one:
                raise ValueError
            one.encode()
        elif isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one


def _no_number(_text: str) -> NoReturn:
    raise ArchiveRefused("it holds a number that is none")


def _value(column: Column[Any], value: Any, *, check: bool) -> Any:
    if value is None:
        if not column.nullable:
            raise ArchiveRefused(f"{column.name} is empty")
        return None
    read = _reader(column.type)
    try:
        # What came in is kept as it came in, as text.
        if check and (column.table.name, column.name) != ("inbox_message", "payload"):
            _check_text(value)
        made = read(value)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ArchiveRefused(f"{column.name} has a value of the wrong type") from error
    return made


def _reader(kind: TypeEngine[Any]) -> Any:
    plain = getattr(kind, "impl_instance", kind)
    for column_type, read in _READERS:
        if isinstance(plain, column_type):
            return read
    return _text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _uuid(value: Any) -> UUID:
    made = UUID(_text(value))
    if str(made) != value:
        raise ValueError
    return made


def _moment(value: Any) -> datetime:
    made = datetime.fromisoformat(_text(value))
    if made.tzinfo is None:
        raise ValueError
    return made.astimezone(UTC)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: Any, largest: int = 2**31) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if not -largest <= value < largest:
        raise ValueError
    return value


def _large(value: Any) -> int:
    return _whole(value, 2**63)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    made = float(value)
    if not math.isfinite(made):
        raise ValueError
    return made


def _never(_value: Any) -> NoReturn:
    raise TypeError


_READERS: Final = (
    (Uuid, _uuid),
    (DateTime, _moment),
    (Boolean, _truth),
    (BigInteger, _large),
    (Integer, _whole),
    (Float, _number),
    (JSON, lambda value: value),
    (LargeBinary, _never),
)
