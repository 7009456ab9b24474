"""Selections of rows by their keys, put together once."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Result, Select, any_, bindparam, cast
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import NullType
from sqlmodel import Session

from models.arrays import array_literal

_KEYS = "keys"


class SelectByKeys:
    """A selection of rows whose column is one of the keys that it is executed with.

    SQLAlchemy writes a statement once, but looks through each new one to see that it is the same:
    with the forty columns of a listing that takes longer than to read a row of it.
    """

    def __init__(
        self, attribute: Any, select: Callable[[ColumnElement[bool]], Select[Any]]
    ) -> None:
        """Take the column, and what makes the selection of the condition on it."""
        self._attribute = attribute
        self._select = select
        self._made: dict[bool, Select[Any]] = {}

    def execute(self, session: Session, keys: Sequence[Any]) -> Result[Any]:
        """Return the rows of at most `models.sql.CHUNK` keys, in no order."""
        is_sqlite = session.get_bind().dialect.name == "sqlite"
        made = self._made.get(is_sqlite)
        if made is None:
            made = self._made[is_sqlite] = self._select(self._condition(is_sqlite=is_sqlite))
        given = list(keys) if is_sqlite else array_literal(keys, self._attribute.type)
        return session.execute(made, {_KEYS: given})

    def _condition(self, *, is_sqlite: bool) -> ColumnElement[bool]:
        if is_sqlite:
            return self._attribute.in_(bindparam(_KEYS, expanding=True))
        # One array, see `models.sql.one_of`.
        array = cast(bindparam(_KEYS, type_=NullType()), ARRAY(self._attribute.type))
        return self._attribute == any_(array)
