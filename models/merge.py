"""Merge what several files say about the same rows, and tell what that changed.

A row is put together from partial views that come in any order. Views of one kind share a
clock: the newest of them says all that they say, and an older one nothing. A view without a
clock only fills gaps. So the same views give the same row, whatever the order (as long as no
two of a kind differ at the same moment, when the later to arrive counts).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import select
from sqlmodel import Session, SQLModel

from models.sql import chunks, insert_or_replace, table_of

Key: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Patch:
    """A partial view of one row.

    `clock` names the column that says how recent the view is, a time or a count; its values are
    then all that views of this kind say, those that it lacks as None. Without one it only fills
    gaps.
    """

    model: type[SQLModel]
    values: Mapping[str, Any]
    clock: str | None = None
    #: A view that moves nothing but its clock is not worth a write.
    quiet: bool = False


@dataclass
class Merged:
    """What a merge did to one table."""

    new: list[Key] = field(default_factory=list)
    changed: list[Key] = field(default_factory=list)
    unchanged: list[Key] = field(default_factory=list)


def merge(session: Session, patches: Iterable[Patch]) -> dict[type[SQLModel], Merged]:
    """Apply patches, in order, in one read and one write per table.

    Tables are written parents first, so that foreign keys hold.
    """
    by_model: dict[type[SQLModel], list[Patch]] = {}
    for patch in patches:
        by_model.setdefault(patch.model, []).append(patch)
    order = {table: place for place, table in enumerate(SQLModel.metadata.sorted_tables)}
    return {
        model: _merge_one(session, model, by_model[model])
        for model in sorted(by_model, key=lambda model: order[table_of(model)])
    }


def _merge_one(session: Session, model: type[SQLModel], patches: Sequence[Patch]) -> Merged:
    table = table_of(model)
    names = [column.name for column in table.primary_key.columns]
    keyed = [(tuple(patch.values[name] for name in names), patch) for patch in patches]
    before = _existing(session, model, names, {key for key, _ in keyed})
    after: dict[Key, dict[str, Any]] = {}
    blank = {column.name: None for column in table.columns}
    clocks: dict[Key, set[str]] = {}
    quiet = {patch.clock for patch in patches if patch.quiet}
    for key, patch in keyed:
        row = after.setdefault(key, dict(before.get(key, blank)))
        _apply(row, patch)
        clocks.setdefault(key, set()).update({patch.clock} if patch.clock else ())
    merged = Merged()
    write: list[dict[str, Any]] = []
    for key, row in after.items():
        old = before.get(key)
        if old is None:
            merged.new.append(key)
            write.append(row)
        elif old != row:
            # A file that was only touched moves its clock; that is no news to a person.
            different = {name for name in row if old[name] != row[name]}
            news = different - clocks[key]
            (merged.changed if news else merged.unchanged).append(key)
            if different - quiet:
                write.append(row)
        else:
            merged.unchanged.append(key)
    insert_or_replace(session, model, write, unique=names)
    return merged


def _apply(row: dict[str, Any], patch: Patch) -> None:
    if patch.clock is None:
        row.update({name: value for name, value in patch.values.items() if row[name] is None})
        return
    moment: datetime | int | None = patch.values[patch.clock]
    known: Any = row[patch.clock]
    # A view that does not say when it was is older than any that does.
    if known is None or (moment is not None and moment >= known):
        row.update(patch.values)


def _existing(
    session: Session, model: type[SQLModel], names: Sequence[str], keys: set[Key]
) -> dict[Key, dict[str, Any]]:
    table = table_of(model)
    first = table.columns[names[0]]
    found: dict[Key, dict[str, Any]] = {}
    for part in chunks(list({key[0] for key in keys})):
        # Locked on PostgreSQL until the merge is written; SQLite has one writer anyway.
        statement = select(table).where(first.in_(part)).with_for_update()
        for row in session.execute(statement).mappings():
            key = tuple(row[name] for name in names)
            if key in keys:
                found[key] = dict(row)
    return found
