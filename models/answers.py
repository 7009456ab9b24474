"""What was answered to requests that carry a key: a repeat is answered the same."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlmodel import Field, Session, SQLModel, col

from core.ids import ATHANOR, derived
from models import base  # noqa: F401 (names constraints, so it goes before any table)
from models.sql import insert_ignore

#: After that a repeat is an ordinary request, whose messages are recognised by their ids.
KEPT_FOR: Final = timedelta(days=7)


class Answer(SQLModel, table=True):
    """The first answer to a request."""

    __tablename__ = "answer"  # pyright: ignore[reportAssignmentType]

    #: UUIDv5 of who asked and the key.
    id: UUID = Field(primary_key=True)
    #: Tells what was asked from anything else under the same key.
    digest: str
    #: The answer as JSON.
    body: str
    answered_at: datetime = Field(index=True)


def ident(source: str, key: str) -> UUID:
    """Return the id of the answer to a source's request."""
    return derived(ATHANOR, "answer", source, key)


def digest(body: bytes) -> str:
    """Return what tells a request's content from others."""
    return blake2b(body, digest_size=16).hexdigest()


def find(session: Session, id: UUID, content: str) -> str | None:  # noqa: A002 (the column's name)
    """Return what was answered to this very content; None for nothing yet."""
    return session.scalar(
        select(col(Answer.body)).where(col(Answer.id) == id, col(Answer.digest) == content)
    )


def keep(
    session: Session,
    id: UUID,  # noqa: A002 (as above)
    content: str,
    body: str,
    *,
    now: datetime,
) -> None:
    """Write down an answer, unless there is one; let go of what is old."""
    rows: Sequence[dict[str, Any]] = [
        {"id": id, "digest": content, "body": body, "answered_at": now}
    ]
    insert_ignore(session, Answer, rows, unique=["id"])
    session.execute(
        delete(Answer)
        .where(col(Answer.answered_at) < now - KEPT_FOR)
        .execution_options(synchronize_session=False)
    )
