"""Bring rows of an archive into the database: compared first, then batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, col

from core.errors import LeaseLost, RestoreConflict
from models.base import DeliveryState
from models.cryoem.tables import Grid
from models.inbox import InboxMessage
from models.retention.archive.codec import MESSAGE_NUMBERS, ROW_NUMBERS, place
from models.retention.archive.manifest import MODELS, TABLES, Manifest
from models.retention.archive.numbers import Restored, numbered, numbers_of, reserve
from models.retention.archive.rows import rows
from models.retention.subtree import Branch
from models.retention.tables import SessionRestore
from models.sql import chunks, insert_all, one_of, table_of

#: How the inbox calls that an archive was brought back; no sender can bring one.
RESTORED: Final = "athanor.session.restored"
_IMPORT: Final = "import"
#: Rows that differ are named up to so many.
_NAMED: Final = 20
#: By these a row of messages is known, whatever number it gets here.
_BY_ID: Final = frozenset({"inbox_message", "outbox_message"})
#: Rows without any name of their own: what is there is none of the archive's.
_NAMELESS: Final = frozenset({"agent_log"})
#: Parts of keys that are numbers of messages, by table.
_NUMBERS_IN_KEYS: Final = {
    branch.name: MESSAGE_NUMBERS.intersection(table_of(branch.table).primary_key.columns.keys())
    for branch in TABLES
}
#: What the audit kept of rows that are in the archive whole.
_ARCHIVED_IN: Final = {"instruction": "payload", "agent_session": "experimental_parameters"}

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass
class Conflicts:
    """Rows that are there with other content; the first are named."""

    named: list[str]
    more: bool = False

    def add(self, branch: Branch, key: Key) -> None:
        """Note a row."""
        if len(self.named) < _NAMED:
            self.named.append(f"{branch.name} {', '.join(str(part) for part in key)}")
        else:
            self.more = True

    def refuse(self) -> None:
        """Raise RestoreConflict if there are any."""
        if self.named:
            raise RestoreConflict(self.named, more=self.more)


def is_there(session: Session, grid: UUID) -> bool:
    """Return whether there is a session, whole or in part."""
    return session.get(Grid, grid) is not None


def unfinished(session: Session, grid: UUID) -> SessionRestore | None:
    """Return the restore of a session that was cut off."""
    found = session.get(SessionRestore, grid)
    return found if found is not None and found.ended_at is None else None


def key_of(branch: Branch, row: Row) -> Key:
    """Return what tells a row from others of its table."""
    return (row["id"],) if branch.name in _BY_ID else place(branch.table, row)


def present(session: Session, branch: Branch, part: Sequence[Row]) -> dict[Key, Row]:
    """Return those of some rows that are there already, by key."""
    # Messages get numbers that are nobody's yet: what is known by one of them is not there.
    numbers = _NUMBERS_IN_KEYS[branch.name]
    wanted = {
        key_of(branch, row)
        for row in part
        if not numbers or all(row[name] <= 0 for name in numbers)
    }
    if branch.name in _NAMELESS or not wanted:
        return {}
    table = table_of(branch.table)
    first = table.c["id"] if branch.name in _BY_ID else next(iter(table.primary_key.columns))
    there: dict[Key, Row] = {}
    for some in chunks(list({key[0] for key in wanted})):
        found = session.execute(select(*table.columns).where(one_of(session, first, some)))
        rows_there = map(dict, found.mappings())
        there |= {key: row for row in rows_there if (key := key_of(branch, row)) in wanted}
    return there


def compare(session: Session, branch: Branch, part: Sequence[Row], conflicts: Conflicts) -> None:
    """Note rows that are there with other content, where the session itself is not."""
    if branch is MODELS:
        return
    there = present(session, branch, part)
    for row in part if there else ():
        known = there.get(key_of(branch, row))
        if known is not None and not _is_archived(branch, known) and not _same(branch, row, known):
            conflicts.add(branch, key_of(branch, row))


def _same(branch: Branch, row: Row, known: Row) -> bool:
    # Numbers are this database's, and so not those of the archive.
    ours = {name for table, name in ROW_NUMBERS if table == branch.name} | MESSAGE_NUMBERS
    if branch.name in _BY_ID:
        ours |= {"seq"}
    return all(known[name] == value for name, value in row.items() if name not in ours)


def _is_archived(branch: Branch, known: Row) -> bool:
    value = known.get(_ARCHIVED_IN.get(branch.name, ""))
    return isinstance(value, dict) and "archived_at" in value


def compare_whole(
    session: Session,
    grid: UUID,
    tables: Iterator[tuple[Branch, Iterator[Row]]],
    conflicts: Conflicts,
) -> None:
    """Note where a session that is there differs from its archive, both in order."""
    numbers = numbers_of(session, grid)
    for branch, archived in tables:
        here = rows(session, branch, grid, numbers)
        mine = next(here, None)
        for row in archived:
            key = place(branch.table, row)
            while mine is not None and place(branch.table, mine) < key:
                # It has more than the archive, which so is of an earlier moment.
                conflicts.add(branch, key_of(branch, mine))
                mine = next(here, None)
            if mine is None or place(branch.table, mine) != key:
                conflicts.add(branch, key_of(branch, row))
                continue
            if mine != row and branch is not MODELS:
                conflicts.add(branch, key_of(branch, row))
            mine = next(here, None)


def begin(session: Session, manifest: Manifest, *, now: datetime) -> SessionRestore:
    """Note that a session is being restored, and keep numbers for its messages."""
    first, last = reserve(session, manifest.numbers)
    session.add(
        InboxMessage(
            seq=last,
            id=uuid4(),
            source=_IMPORT,
            domain="athanor",
            kind=RESTORED,
            flow=_IMPORT,
            key="",
            payload={"grid_uuid": str(manifest.grid_uuid), "digest": manifest.digest},
            state=DeliveryState.DONE,
            available_at=now,
            received_at=now,
            done_at=now,
        )
    )
    row = session.get(SessionRestore, manifest.grid_uuid)
    if row is not None:
        session.delete(row)
        session.flush()
    row = SessionRestore(
        grid_uuid=manifest.grid_uuid, digest=manifest.digest, first_seq=first, began_at=now
    )
    session.add(row)
    session.flush()
    return row


def put(
    session: Session,
    restore: SessionRestore,
    member: int,
    done: int,
    branch: Branch,
    part: Sequence[Row],
    numbers: Restored,
) -> int:
    """Store the next rows of a table; return how many were not there.

    Raises:
        LeaseLost: Another import of the same archive is at work.
    """
    moved = session.execute(
        update(SessionRestore)
        .where(
            col(SessionRestore.grid_uuid) == restore.grid_uuid,
            col(SessionRestore.digest) == restore.digest,
            col(SessionRestore.member) == member,
            col(SessionRestore.rows) == done,
            col(SessionRestore.ended_at).is_(None),
        )
        .values(rows=done + len(part))
        .execution_options(synchronize_session=False)
    )
    if moved.rowcount != 1:  # pyright: ignore[reportAttributeAccessIssue]
        raise LeaseLost("Another import of this session is at work.")
    mine = [numbered(branch.name, row, numbers) for row in part]
    there = present(session, branch, mine)
    new: list[Row] = []
    for row in mine:
        known = there.get(key_of(branch, row)) if there else None
        if known is None:
            new.append(_without_row_number(branch, row))
        elif _is_archived(branch, known):
            _replace(session, branch.table, key_of(branch, row), _without_row_number(branch, row))
    try:
        insert_all(session, branch.table, new)
    except IntegrityError as error:
        # Not found beforehand: another key than its own is taken, or it came in meanwhile.
        raise RestoreConflict([f"one of {branch.name} from row {done + 1} on"]) from error
    return len(new)


def _without_row_number(branch: Branch, row: Row) -> Row:
    given = {name for table, name in ROW_NUMBERS if table == branch.name}
    if not given:
        return row
    return {name: value for name, value in row.items() if name not in given}


def _replace(session: Session, model: type[SQLModel], key: Key, row: Row) -> None:
    """Give a row that the audit kept what the archive has of it."""
    (column,) = table_of(model).primary_key.columns
    session.execute(update(table_of(model)).where(column == key[0]).values(**row))


def next_member(session: Session, restore: SessionRestore, member: int) -> None:
    """Note that a table is whole."""
    session.execute(
        update(SessionRestore)
        .where(col(SessionRestore.grid_uuid) == restore.grid_uuid)
        .where(col(SessionRestore.member) == member)
        .values(member=member + 1, rows=0)
        .execution_options(synchronize_session=False)
    )


def end(session: Session, restore: SessionRestore, *, now: datetime) -> None:
    """Note that a session is whole again."""
    session.execute(
        update(SessionRestore)
        .where(col(SessionRestore.grid_uuid) == restore.grid_uuid)
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )
