"""Whole columns from the database into numpy: half a million values without a row object each.

The database puts each column together on its side, in one long value: PostgreSQL as the bytes
that it would send in binary, SQLite as text. No value is looked at one by one in Python.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Float,
    LargeBinary,
    Select,
    String,
    bindparam,
    case,
    cast,
    column,
    false,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Integer, NullType, TypeEngine, Uuid
from sqlmodel import Session, SQLModel

from models.sql import insert, table_of
from models.visibility.enforcement import CHECKED, require_all

#: What a column's kind makes of it depends on the kind, and so is not in its type.
Array = NDArray[Any]
#: What a column holds: uuids come as 16 bytes (`S16`), numbers as `float64` and NaN for NULL,
#: truths as `bool` and False for NULL.
Kind = Literal["uuid", "number", "truth"]

UUID_BYTES: Final = np.dtype("S16")


def read_columns(
    session: Session, statement: Select[Any], kinds: Mapping[str, Kind]
) -> dict[str, Array]:
    """Return columns of a statement as arrays by name, in the order of its rows."""
    (arrays,) = _read(session, statement, kinds, ()).values()
    return arrays


def read_groups(
    session: Session, statement: Select[Any], kinds: Mapping[str, Kind], *, by: Sequence[str]
) -> dict[tuple[str, ...], dict[str, Array]]:
    """Return the columns of each group of rows that have the same texts in the columns `by`."""
    return _read(session, statement, kinds, by)


def hex_of(keys: Array) -> list[str]:
    """Return uuids of 16 bytes as text of 32 digits."""
    # numpy keeps the zeros at the end of bytes, it only does not show them.
    text = np.ascontiguousarray(keys, dtype=UUID_BYTES).tobytes().hex()
    return [text[start : start + 32] for start in range(0, len(text), 32)]


def _read(
    session: Session, statement: Select[Any], kinds: Mapping[str, Kind], by: Sequence[str]
) -> dict[tuple[str, ...], dict[str, Array]]:
    rows = statement.subquery()
    by_text = session.get_bind().dialect.name == "sqlite"
    pack, unpack = (_as_text, _from_text) if by_text else (_as_bytes, _from_bytes)
    groups = [rows.c[name] for name in by]
    packed = [pack(rows.c[name], kind) for name, kind in kinds.items()]
    asked = select(*groups, *packed).group_by(*groups)
    return {
        tuple(row[: len(by)]): {
            name: unpack(value, kind)
            for (name, kind), value in zip(kinds.items(), row[len(by) :], strict=True)
        }
        for row in session.execute(asked)
    }


def _as_bytes(column: Any, kind: Kind) -> Any:
    match kind:
        case "uuid":
            sent = func.uuid_send(column)
        case "truth":
            sent = func.boolsend(func.coalesce(column, false()))
        case "number":
            sent = func.float8send(func.coalesce(cast(column, Float(53)), float("nan")))
    return func.string_agg(sent, cast(literal(b"", LargeBinary), LargeBinary))


def _from_bytes(packed: bytes | None, kind: Kind) -> Array:
    found = packed or b""
    match kind:
        case "uuid":
            return np.frombuffer(found, dtype=UUID_BYTES)
        case "truth":
            return np.frombuffer(found, dtype=np.bool_)
        case "number":
            return np.frombuffer(found, dtype=">f8").astype(np.float64)


def _as_text(column: Any, kind: Kind) -> Any:
    # Of another type to SQLAlchemy, which would make a uuid or a truth of the whole.
    plain = type_coerce(column, String)
    match kind:
        case "uuid":
            return func.group_concat(plain, literal(""))
        case "truth":
            return func.group_concat(func.coalesce(plain, 0), literal(" "))
        case "number":
            # All the digits that it takes to tell one number from the next.
            digits = func.printf(literal("%!.17g"), plain)
            return func.group_concat(case((plain.is_(None), "nan"), else_=digits), literal(" "))


def _from_text(packed: str | None, kind: Kind) -> Array:
    found = packed or ""
    match kind:
        case "uuid":
            return np.frombuffer(bytes.fromhex(found), dtype=UUID_BYTES)
        case "truth":
            return np.fromstring(found, dtype=np.int64, sep=" ") == 1
        case "number":
            return np.fromstring(found, dtype=np.float64, sep=" ")


def write_columns(
    session: Session,
    model: type[SQLModel],
    arrays: Mapping[str, Array],
    *,
    unique: str,
    **fixed: Any,
) -> None:
    """Insert a row for each place of the arrays; where one is there, set all its other columns.

    Args:
        session: The transaction.
        model: The table.
        arrays: By column, all of one length; uuids as 16 bytes, NaN for NULL.
        unique: The uuid column that tells rows apart; no two places may have the same.
        fixed: Columns that are the same in all rows.
    """
    if not len(arrays[unique]):
        return
    table = table_of(model)
    require_all(session, table)
    statement = insert(session, model)
    names = [*arrays, *fixed]
    changed = {name: statement.excluded[name] for name in names if name != unique}
    values = {name: _values(array, table.c[name].type) for name, array in arrays.items()}
    if isinstance(statement, postgresql.Insert):
        packed = [
            cast(bindparam(None, _literal(of), type_=NullType()), ARRAY(table.c[name].type))
            for name, of in values.items()
        ]
        columns = [column(name, table.c[name].type) for name in arrays]
        rows = func.unnest(*packed).table_valued(*columns).render_derived()
        same = [literal(value, table.c[name].type) for name, value in fixed.items()]
        statement = statement.from_select(
            names, select(*(rows.c[name] for name in arrays), *same), include_defaults=False
        ).on_conflict_do_update(index_elements=[unique], set_=changed)
        session.connection().execute(statement, execution_options=CHECKED)
        return
    statement = statement.values({name: bindparam(name) for name in names})
    dialect = session.get_bind().dialect
    compiled = statement.on_conflict_do_update(index_elements=[unique], set_=changed).compile(
        dialect=dialect
    )
    for name, value in fixed.items():
        prepare = table.c[name].type.dialect_impl(dialect).bind_processor(dialect)
        values[name] = [prepare(value) if prepare else value] * len(arrays[unique])
    # To the driver as it is: SQLAlchemy would look at each value on its own.
    order = compiled.positiontup or ()
    rows = list(zip(*(values[name] for name in order), strict=True))
    session.connection().exec_driver_sql(compiled.string, rows)


def _values(array: Array, kind: TypeEngine[Any]) -> list[Any]:
    """Return what the drivers understand: uuids as their digits, NULL as None."""
    if isinstance(kind, Uuid):
        return list(hex_of(array))
    plain = array.tolist()
    if array.dtype.kind != "f":
        return plain
    if isinstance(kind, Integer):
        return [None if value != value else int(value) for value in plain]
    return [None if value != value else value for value in plain]


def _literal(values: Sequence[Any]) -> str:
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
