"""Lists in groups, such as predictions by model and hole: a keyset of several columns.

A `Series` says what is shown and by which columns it is in order; `read` gives some of its rows,
as many as are asked for, from where the last ones ended. The first columns may name groups: rows
of the same group are neighbours, so that a list can be written as it is read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from sqlalchemy import Select, literal
from sqlalchemy import tuple_ as row_of
from sqlmodel import Session

from core.errors import CursorRejected
from models.listing import SORT_KEYS, Row, Rows
from models.paging import Keyset


@dataclass(frozen=True)
class Key:
    """A column by which rows are in order; no row is without a value."""

    attribute: Any
    #: Type of its values, one of `SORT_KEYS`.
    kind: Any


@dataclass(frozen=True)
class Series:
    """What a list shows, and in which order."""

    #: Its cursors are of no list of another name.
    name: str
    #: Selects the fields, each by its name.
    statement: Select[Any]
    #: No two rows have the same of all of them.
    keys: tuple[Key, ...]
    #: All values of the first key in their order, where an index gives the rows of each in order
    #: and not those of all.
    firsts: tuple[Any, ...] | None = None
    #: How many of the first keys name the groups, the outermost first.
    depth: int = 0
    #: Makes what is shown of the rows, where that is not the fields as they are.
    shown: Callable[[Session, list[Row]], list[Row]] | None = None

    @cached_property
    def keyset(self) -> Keyset[tuple[Any, ...]]:
        """Return how its cursors are written."""
        kinds = tuple(SORT_KEYS[key.kind] for key in self.keys)
        return Keyset(tuple[Literal[self.name], *kinds])  # pyright: ignore[reportInvalidTypeArguments]


def read(session: Session, series: Series, *, count: int, cursor: str | None = None) -> Rows:
    """Return up to `count` rows from a cursor on; as many statements for any number, and any place.

    Raises:
        CursorRejected: It is not a cursor of this list.
    """
    attributes = [key.attribute for key in series.keys]
    names = series.statement.selected_columns.keys()
    found: list[Any] = []
    for statement, keys, after in _runs(series, series.keyset.read(cursor)):
        # What the first key tells alone, an index can tell.
        rest = () if after is None else (keys[0] >= after[0], row_of(*keys) > row_of(*after))
        part = statement.add_columns(*attributes).where(*rest).order_by(*keys)
        found += session.execute(part.limit(count + 1 - len(found))).all()
        if len(found) > count:
            break
    more = len(found) > count
    del found[count:]
    items = [dict(zip(names, row, strict=False)) for row in found]
    if series.shown is not None:
        items = series.shown(session, items)
    keys = [tuple(row[len(names) :]) for row in found]
    return Rows(
        items,
        series.keyset.write((series.name, *keys[-1])) if more else None,
        [tuple(map(str, key[: series.depth])) for key in keys] if series.depth else None,
    )


_Run: TypeAlias = tuple[Select[Any], list[Any], list[Any] | None]


def _runs(series: Series, cursor: tuple[Any, ...] | None) -> Iterator[_Run]:
    """Yield what is read one after the other: a selection, its order, and after which place."""
    keys = [key.attribute for key in series.keys]
    after = None
    if cursor is not None:
        after = [literal(v, a.type) for v, a in zip(cursor[1:], keys, strict=True)]
    if series.firsts is None:
        yield series.statement, keys, after
        return
    begin = 0
    if cursor is not None:
        if cursor[1] not in series.firsts:
            raise CursorRejected
        begin = series.firsts.index(cursor[1])
    for first in series.firsts[begin:]:
        yield series.statement.where(keys[0] == first), keys[1:], after and after[1:]
        after = None
