"""PostgreSQL arrays as text: one parameter for a thousand values.

The driver would look at each element of a list on its own, in Python; at thousands of
messages a second that costs more than all the rest.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Boolean, DateTime, Float, Integer, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

from models.json_text import dumps


def array_literal(values: Sequence[Any], kind: TypeEngine[Any]) -> str:
    """Return the text of an array of a column's type; None stands for NULL.

    Raises:
        ValueError: A moment has no time zone.
    """
    write = _writer(kind)
    return "{" + ",".join(["NULL" if value is None else write(value) for value in values]) + "}"


def _writer(kind: TypeEngine[Any]) -> Callable[[Any], str]:
    plain = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    return next((write for known, write in _WRITERS if isinstance(plain, known)), _text)


def _text(value: object) -> str:
    text = str(value)
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if '"' in text:
        text = text.replace('"', '\\"')
    return f'"{text}"'


def _uuid(value: UUID) -> str:
    return value.hex


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return f'"{value.isoformat()}"'


def _json(value: object) -> str:
    return _text(dumps(value))


def _truth(value: object) -> str:
    return "t" if value else "f"


def _float(value: float) -> str:
    return repr(float(value))


def _integer(value: int) -> str:
    return str(int(value))


_WRITERS: tuple[tuple[type[TypeEngine[Any]], Callable[[Any], str]], ...] = (
    (Uuid, _uuid),
    (DateTime, _moment),
    (JSON, _json),
    (Boolean, _truth),
    (Integer, _integer),
    (Float, _float),
)
