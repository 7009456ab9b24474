"""Rows as lines of JSON and back, with every value checked against its column."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, NoReturn
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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
#: Values that are not read again when they come again.
_REMEMBERED: Final = 10_000


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
    if found.keys() != columns.keys():
        _check_names(found, columns, older=older)
    escaped = b"\\u" in line
    row: dict[str, Any] = {}
    for name, column in columns.items():
        value = found.get(name)
        if value is None:
            if not column.nullable:
                raise ArchiveRefused(f"{name} is empty")
            row[name] = None
            continue
        try:
            if escaped and not column.as_it_came:
                _check_text(value)
            row[name] = column.read(value)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise ArchiveRefused(f"{name} has a value of the wrong type") from error
    return row


class _Column(NamedTuple):
    """How the values of a column are read."""

    read: Callable[[Any], Any]
    nullable: bool
    #: What came in is kept as it came in, as text.
    as_it_came: bool


@cache
def _columns(table: Table) -> dict[str, _Column]:
    return {
        column.name: _Column(
            _reader(column.type),
            bool(column.nullable),
            (table.name, column.name) == ("inbox_message", "payload"),
        )
        for column in table.columns
    }


def _check_names(found: Mapping[str, Any], columns: Mapping[str, _Column], *, older: bool) -> None:
    unknown = found.keys() - columns.keys()
    if unknown:
        raise ArchiveRefused(f"there is no column {min(unknown)!r}")
    for name, column in columns.items():
        if name not in found and not (older and column.nullable):
            raise ArchiveRefused(f"the column {name} is missing")


def place(model: type[SQLModel], row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what rows of a table are in the order of: their keys."""
    return tuple([row[name] for name in _keys(table_of(model))])


@cache
def _keys(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        found = _JSON.decode(line.decode())
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


def _reader(kind: TypeEngine[Any]) -> Callable[[Any], Any]:
    plain = getattr(kind, "impl_instance", kind)
    for column_type, read in _READERS:
        if isinstance(plain, column_type):
            return read
    return _text


# `json.loads` would make one for each line.
_JSON: Final = json.JSONDecoder(parse_constant=_no_number)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


# A grid's uuid stands in each row, a hole's in many.
@lru_cache(maxsize=_REMEMBERED)
def _uuid(value: Any) -> UUID:
    made = UUID(_text(value))
    if str(made) != value:
        raise ValueError
    return made


@lru_cache(maxsize=_REMEMBERED)
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
