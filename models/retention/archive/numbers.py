"""Numbers of messages, which a database makes up: in an archive they are counted from 1."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

import numpy as np
from sqlalchemy import Select, func, literal_column, select, text
from sqlmodel import Session, col

from core.errors import ArchiveRefused
from models.cryoem.decision_tables import Decision
from models.inbox import InboxMessage
from models.retention.archive.codec import MESSAGE_NUMBERS
from models.retention.archive.manifest import TABLES
from models.sql import table_of

_DECISION: Final = str(Decision.__tablename__)
#: Columns that hold the number of a message, by table.
_NUMBERED: Final[Mapping[str, frozenset[str]]] = {
    branch.name: MESSAGE_NUMBERS.intersection(table_of(branch.table).columns.keys())
    | ({"seq"} if branch.table is InboxMessage else frozenset())
    for branch in TABLES
}


class Numbers:
    """The numbers that one session's rows refer to, in order."""

    def __init__(self, known: Iterable[int]) -> None:
        """Take the numbers, in any order and repeated as may be."""
        self._known = array("q", np.unique(np.fromiter(known, dtype=np.int64)).tolist())

    def __len__(self) -> int:
        return len(self._known)

    def rank(self, number: int) -> int:
        """Return a number as it stands in the archive; one that no message has, as it is."""
        return bisect_left(self._known, number) + 1 if number > 0 else number


class Restored:
    """The other way: what an archive's numbers are in this database."""

    def __init__(self, first: int, count: int) -> None:
        """Take the number of the first message, and how many there are."""
        self._before, self._count = first - 1, count

    def rank(self, number: int) -> int:
        """Return the number here of one in the archive."""
        if number > self._count:
            raise ArchiveRefused(f"it names message {number} of {self._count}")
        return self._before + number if number > 0 else number


def numbered(table: str, row: dict[str, Any], numbers: Numbers | Restored) -> dict[str, Any]:
    """Return a row with all numbers of messages in it exchanged."""
    changed = dict(row)
    for name in _NUMBERED[table]:
        if (number := row.get(name)) is not None:
            changed[name] = numbers.rank(number)
    if table == _DECISION:
        basis = row["basis"]
        if not isinstance(basis, dict) or not all(type(n) is int for n in basis.values()):
            raise ArchiveRefused("basis is no list of messages")
        changed["basis"] = {target: numbers.rank(number) for target, number in basis.items()}
    return changed


def numbers_of(session: Session, grid: UUID) -> Numbers:
    """Return the numbers of messages that a session's rows refer to."""
    return Numbers(_referred(session, grid))


def _referred(session: Session, grid: UUID) -> Iterator[int]:
    for branch in TABLES:
        for column in table_of(branch.table).columns:
            if column.name in _NUMBERED[branch.name]:
                distinct: Select[Any] = (
                    select(column).where(branch.belongs(grid), column > 0).distinct()
                )
                yield from session.scalars(distinct.execution_options(yield_per=10_000))
    bases = select(col(Decision.basis)).where(col(Decision.grid_uuid) == grid)
    for basis in session.scalars(bases.execution_options(yield_per=1_000)):
        yield from basis.values()


def reserve(session: Session, count: int) -> tuple[int, int]:
    """Keep numbers of messages for a restore; return the first one and the one after the last.

    The caller stores a message under the latter: SQLite counts on from the largest that is
    there.
    """
    if session.get_bind().dialect.name == "sqlite":
        first = (session.scalar(select(func.max(col(InboxMessage.seq)))) or 0) + 1
        return first, first + count
    # Nobody else takes numbers until this is committed.
    session.execute(text("LOCK TABLE inbox_message IN EXCLUSIVE MODE"))
    sequence = literal_column("pg_get_serial_sequence('inbox_message', 'seq')")
    first = session.scalar(select(func.nextval(sequence))) or 1
    session.execute(select(func.setval(sequence, first + count)))
    return first, first + count
