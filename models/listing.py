"""Lists of any length: chosen fields, filters, sort, a keyset instead of an offset.

A `Listing` says what a list shows and how it may be sorted; `read` gives some of its rows as
plain dictionaries, as many as are asked for, from where the last ones ended. Rows without a
value of the sort come last, whichever way it goes, as a part of their own: so an index on the
value and the uuid gives each part in order, on PostgreSQL and SQLite alike.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import Field
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    Uuid,
    cast,
    func,
    literal,
    null,
    select,
)
from sqlalchemy import literal_column as sql
from sqlalchemy import tuple_ as row_of
from sqlmodel import Session, SQLModel

from core.errors import BadInput, CursorRejected, NotFound
from models.athena import Time
from models.paging import Keyset, View
from models.select_by_keys import SelectByKeys
from models.sql import table_of
from models.uuid_text import uuid_text

Row: TypeAlias = dict[str, Any]
Condition: TypeAlias = ColumnElement[bool]

#: What a cursor may hold of a sort: nothing that a database cannot take.
SORT_KEYS: Mapping[Any, Any] = {
    int: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)],
    float: Annotated[float, Field(allow_inf_nan=False)],
    str: Annotated[str, Field(max_length=700, pattern=r"^[^\x00]*$")],
    UUID: UUID,
    Time: Time,
}


class FieldRejected(BadInput):
    """There is no such field."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"fields: there is no field {name!r}; there are {', '.join(known)}.")


@dataclass(frozen=True)
class Shown:
    """A field: what the database gives, and what becomes of it where that is not the same."""

    value: Any
    convert: Callable[[Any], Any] | None = None

    @cached_property
    def selected(self) -> Any:
        """Return what is asked of the database: uuids as text, which is what they become."""
        return uuid_text(self.value) if isinstance(self.value.type, Uuid) else self.value


@dataclass(frozen=True)
class Sort:
    """What a list may be sorted by; rows of the same value are in order of their uuid."""

    attribute: Any
    #: Type of its values, one of `SORT_KEYS`.
    key: Any
    nullable: bool = True

    @cached_property
    def keyset(self) -> Keyset[tuple[str, Any, UUID]]:
        """Return how cursors of this sort are written."""
        return Keyset(tuple[str, SORT_KEYS[self.key] | None, UUID])


@dataclass(frozen=True)
class Filled:
    """Fields that come from another table, for many rows at once."""

    names: frozenset[str]
    #: Sets them on the rows, which it is given by uuid.
    fill: Callable[[Session, Mapping[UUID, Row]], None]


@dataclass(frozen=True)
class Listing:
    """What a list shows, and how."""

    #: What one of it is called.
    name: str
    view: type[View]
    model: type[SQLModel]
    uuid: Any
    fields: Mapping[str, Shown]
    sorts: Mapping[str, Sort]
    #: Adds what its fields need, and leaves out what is deleted.
    source: Callable[[Select[Any]], Select[Any]]
    filled: Filled | None = None
    #: Another table whose values it shows, and how its rows belong to those of the list.
    beside: tuple[type[SQLModel], Any] | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of all fields, in the order in which they are shown."""
        return tuple(self.view.model_fields)

    @cached_property
    def by_uuid(self) -> SelectByKeys:
        """Return the selection of all fields of given rows."""
        return SelectByKeys(self.uuid, lambda one: _statement(self, self.names).where(one))

    def chosen(self, fields: str | None) -> tuple[str, ...]:
        """Return the fields that a comma-separated text names; all for none.

        Raises:
            FieldRejected: One of them is none of this list.
        """
        if not fields:
            return self.names
        wanted = {name.strip() for name in fields.split(",")} - {""}
        for name in sorted(wanted - set(self.names)):
            raise FieldRejected(name, self.names)
        return tuple(name for name in self.names if name in wanted)


@dataclass(frozen=True)
class Asked:
    """What is asked of a list."""

    fields: tuple[str, ...]
    #: Name of a sort, after `-` for the largest first.
    sort: str = "uuid"
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Rows:
    """Some rows of a list."""

    items: list[Row] = field(default_factory=list)
    #: Where the next ones begin; None after the last.
    cursor: str | None = None
    #: The groups that each row is in, the outermost first; None where there are no groups.
    groups: Sequence[tuple[str, ...]] | None = None


def read(
    session: Session, listing: Listing, asked: Asked, *, count: int, cursor: str | None = None
) -> Rows:
    """Return up to `count` rows from a cursor on; the same few statements for any number.

    Raises:
        CursorRejected: It is not a cursor of this list in this order.
    """
    sort = listing.sorts[asked.sort.removeprefix("-")]
    after = sort.keyset.read(cursor)
    if after is not None and (after[0] != asked.sort or (after[1] is None and not sort.nullable)):
        raise CursorRejected
    found: list[Sequence[Any]] = []
    if after is None or after[1] is not None:
        found += _part(session, listing, asked, after, count + 1, filled=True)
    if sort.nullable and len(found) <= count:
        rest = after if after is not None and after[1] is None else None
        found += _part(session, listing, asked, rest, count + 1 - len(found), filled=False)
    more = len(found) > count
    del found[count:]
    items = _dictionaries(session, listing, asked.fields, found)
    if not more:
        return Rows(items)
    uuid = UUID(found[-1][-2])
    value = uuid if sort.key is UUID else found[-1][-1]
    return Rows(items, sort.keyset.write((asked.sort, value, uuid)))


def find(session: Session, listing: Listing, uuids: Sequence[UUID]) -> list[Row]:
    """Return all fields of the rows that are there, of at most a thousand, in this order."""
    found = listing.by_uuid.execute(session, uuids).all()
    rows = _dictionaries(session, listing, listing.names, found)
    known = {row[-2]: shown for row, shown in zip(found, rows, strict=True)}
    return [known[text] for text in map(str, uuids) if text in known]


def get(session: Session, listing: Listing, uuid: UUID) -> Row:
    """Return all fields of one row.

    Raises:
        NotFound: There is none, or it is deleted.
    """
    for row in find(session, listing, [uuid]):
        return row
    raise NotFound(f"There is no {listing.name} {uuid}.")


def require(session: Session, listing: Listing, uuid: UUID) -> None:
    """Raise NotFound unless there is such a row."""
    if session.scalar(_select(listing, listing.uuid).where(listing.uuid == uuid)) is None:
        raise NotFound(f"There is no {listing.name} {uuid}.")


def version(session: Session, listing: Listing, where: Sequence[Condition]) -> str | None:
    """Return a text that changes with every change of the list's rows; None on SQLite.

    PostgreSQL notes in each row the transaction that wrote it. Later ones have larger numbers,
    so how many rows there are and the sum of these numbers tell whether one changed, for a
    hundredth of the price of reading them.
    """
    if session.get_bind().dialect.name == "sqlite":
        return None
    own = _select(listing, *_written(listing.model)).where(*where)
    counted = [session.execute(own).one()]
    if listing.beside is not None:
        model, belongs = listing.beside
        others = _select(listing, *_written(model)).where(*where).join(model, belongs)
        counted.append(session.execute(others).one())
    return "-".join(f"{count}.{total}" for count, total in counted)


def _written(model: type[SQLModel]) -> tuple[Any, Any]:
    number = cast(cast(sql(f"{table_of(model).name}.xmin"), String), BigInteger)
    return func.count(), func.sum(number)


def _part(
    session: Session,
    listing: Listing,
    asked: Asked,
    after: tuple[str, Any, UUID] | None,
    count: int,
    *,
    filled: bool,
) -> Sequence[Any]:
    """Return rows that have a value of the sort, or those that have none."""
    name = asked.sort.removeprefix("-")
    sort, down = listing.sorts[name], asked.sort.startswith("-")
    keys = [listing.uuid]
    if filled and sort.key is not UUID:
        keys.insert(0, sort.attribute)
    statement = _statement(listing, asked.fields, keys[0]).where(*asked.where)
    if sort.nullable:
        empty = sort.attribute.is_(None)
        statement = statement.where(~empty if filled else empty)
    if after is not None:
        values = after[-len(keys) :]
        here = row_of(*keys)
        there = row_of(*(literal(v, key.type) for v, key in zip(values, keys, strict=True)))
        statement = statement.where(here < there if down else here > there)
    statement = statement.order_by(*(key.desc() if down else key for key in keys)).limit(count)
    return session.execute(statement).all()


def _statement(listing: Listing, fields: Sequence[str], key: Any = None) -> Select[Any]:
    """Return the selection of fields, then of uuid and sort key, where that is another."""
    values = [listing.fields[name].selected for name in fields if name in listing.fields]
    other = null() if key is None or key is listing.uuid else key
    last = (uuid_text(listing.uuid).label("the_uuid"), other.label("the_key"))
    return _select(listing, *values, *last)


def _select(listing: Listing, *values: Any) -> Select[Any]:
    return listing.source(select(*values).select_from(listing.model))


def _dictionaries(
    session: Session, listing: Listing, fields: Sequence[str], found: Sequence[Sequence[Any]]
) -> list[Row]:
    if not found:
        return []
    columns = list(zip(*found, strict=True))
    read = [name for name in fields if name in listing.fields]
    for place, name in enumerate(read):
        convert = listing.fields[name].convert
        if convert is not None:
            columns[place] = tuple(map(convert, columns[place]))
    rows = [dict(zip(read, row, strict=False)) for row in zip(*columns, strict=True)]
    filled = listing.filled
    if filled is not None and not filled.names.isdisjoint(fields):
        filled.fill(session, dict(zip(map(UUID, columns[-2]), rows, strict=True)))
        rows = [{name: row[name] for name in fields} for row in rows]
    return rows
