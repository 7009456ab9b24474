"""Tables of what may not be deleted, and of what was."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from models import base  # noqa: F401 (names constraints, so it goes before any table)


class SessionHold(SQLModel, table=True):
    """That a session may not be deleted, whoever asks, until somebody releases it.

    The foreign key has the database itself refuse to delete the grid meanwhile.
    """

    __tablename__ = "session_hold"  # pyright: ignore[reportAssignmentType]

    grid_uuid: UUID = Field(foreign_key="grid.uuid", primary_key=True)
    reason: str
    held_by: str
    held_at: datetime


class SessionRemoval(SQLModel, table=True):
    """That retention deletes or has deleted a session, and where its archive is.

    Written before the first row is deleted: a removal that was interrupted goes on, and does not
    write an archive of what is left over a whole one.
    """

    __tablename__ = "session_removal"  # pyright: ignore[reportAssignmentType]

    grid_uuid: UUID = Field(primary_key=True)
    name: str
    #: File of the archive and its SHA-256; NULL where none was asked for.
    archive: str | None = None
    archive_sha256: str | None = None
    began_at: datetime
    #: NULL while rows are left.
    ended_at: datetime | None = Field(default=None, index=True)


class SessionRestore(SQLModel, table=True):
    """That a session was brought back from an archive, or how far that is.

    Restored rows are as old as ever: from here it is counted how long they are kept again.
    """

    __tablename__ = "session_restore"  # pyright: ignore[reportAssignmentType]

    grid_uuid: UUID = Field(primary_key=True)
    #: Of the archive's content, whatever its file is called.
    digest: str
    #: What is added to the archive's numbers of messages, so that they are nobody else's.
    first_seq: int = Field(sa_type=BigInteger)
    #: The member of the archive that is next, and how many of its rows are there.
    member: int = 0
    rows: int = Field(default=0, sa_type=BigInteger)
    began_at: datetime
    #: NULL while rows are missing.
    ended_at: datetime | None = None
