"""Keep what comes in from naming what is another's, and say whose the new is.

Messages are stored for later, when Athanor itself works on them and sees everything: so it is
here that their sender is held to what they may see.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Table, not_, or_, select, union_all
from sqlmodel import Session, SQLModel, col

from core.caller import current_caller
from core.errors import OutOfSight
from models.inbox import InboxMessage, NewMessage
from models.json_text import dumps
from models.sql import chunks
from models.visibility import choice, owning, rules
from models.visibility.enforcement import UNSEEN

#: Each part of a statement names so many at most.
_CHUNK: Final = 500
_UUID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE
)
#: What a message may name.
_NAMED: Final = (
    "acquisition",
    "grid",
    "atlas",
    "atlas_tile",
    "square",
    "hole",
    "micrograph",
    "hole_group",
)


def admit(
    session: Session, rows: Sequence[NewMessage], sessions: Iterable[Collection[UUID]]
) -> None:
    """Refuse messages that name what is another's; let what is new in them be their sender's.

    Args:
        session: The transaction that stores them.
        rows: The messages.
        sessions: The acquisitions and grids that each is about.

    Raises:
        OutOfSight: One of them names something of another organisation's.
        OrganisationUnclear: Something is new, and the caller has several organisations.
    """
    organisations = current_caller().organisations
    if organisations is None:
        named = choice.chosen()
        if named is not None:
            about = {one for uuids in sessions for one in uuids}
            owning.claim(session, sorted(about - _existing(session, about)), named)
        return
    about = {one for uuids in sessions for one in uuids}
    _refuse_others(session, _uuids(rows) | about, organisations)
    # What is owned is theirs, or it would have been refused.
    owned = owning.owners(session, [str(one) for one in about])
    new = sorted(one for one in about - _existing(session, about) if str(one) not in owned)
    if new:
        _claim(session, new, choice.of_new(organisations), organisations)
    if any(not row.key for row in rows):
        # What it is about will tell whose it is, and it may go on only if that is the sender's.
        choice.of_new(organisations)


def _uuids(rows: Iterable[NewMessage]) -> set[UUID]:
    return {UUID(found) for row in rows for found in _UUID.findall(dumps(row.payload))}


def _refuse_others(
    session: Session, uuids: Collection[UUID], organisations: frozenset[str]
) -> None:
    owner = _table("session_owner")
    for part in chunks(list(uuids), _CHUNK):
        asked = [
            select(table.c.uuid).where(
                table.c.uuid.in_(part), not_(rules.criterion(table, organisations))
            )
            for table in (_table(name) for name in _NAMED)
        ]
        theirs = owner.c.organisation.not_in(organisations)
        asked.append(select(owner.c.uuid).where(owner.c.uuid.in_(part), theirs))
        found = session.execute(union_all(*asked).limit(1), execution_options=UNSEEN).scalar()
        if found is not None:
            raise OutOfSight(str(found))


def _existing(session: Session, uuids: Collection[UUID]) -> set[UUID]:
    found: set[UUID] = set()
    for part in chunks(list(uuids), _CHUNK):
        for name in ("acquisition", "grid"):
            table = _table(name)
            statement = select(table.c.uuid).where(table.c.uuid.in_(part))
            found |= set(session.execute(statement, execution_options=UNSEEN).scalars())
    return found


def _claim(
    session: Session, new: Sequence[UUID], organisation: str, organisations: frozenset[str]
) -> None:
    keys = [str(one) for one in new]
    # Of a session that is on its way in, nothing may be in the tables but its messages.
    sender = col(InboxMessage.organisation)
    others = (
        select(col(InboxMessage.key))
        .where(
            col(InboxMessage.key).in_(keys),
            or_(sender.is_(None), sender.not_in(organisations)),
        )
        .limit(1)
    )
    found = session.execute(others, execution_options=UNSEEN).scalar()
    if found is not None:
        raise OutOfSight(found)
    for key, owner in owning.claim(session, new, organisation).items():
        if owner not in organisations:
            raise OutOfSight(key)


def _table(name: str) -> Table:
    return SQLModel.metadata.tables[name]
