"""What all tables share: names of constraints, column types, the columns of leased work."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Integer
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

#: Named constraints let Alembic change them on both databases.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

#: JSON that PostgreSQL can index, and text on SQLite.
JSON_TYPE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

#: 64-bit on PostgreSQL; SQLite autoincrements plain INTEGER keys only, which are 64-bit too.
SEQUENCE_TYPE = BigInteger().with_variant(Integer(), "sqlite")


def json_field(*, nullable: bool = False) -> Any:
    """Return a field that holds JSON."""
    return Field(default=None, sa_column=Column(JSON_TYPE, nullable=nullable))


def sequence_field() -> Any:
    """Return a primary key that counts up in order of insertion."""
    return Field(
        default=None, sa_column=Column(SEQUENCE_TYPE, primary_key=True, autoincrement=True)
    )


class DeliveryState(StrEnum):
    """Life of an inbox message or an outbox row."""

    PENDING = "pending"
    CLAIMED = "claimed"
    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"
    SUPERSEDED = "superseded"


class LeasedRow(SQLModel):
    """Columns of work that is claimed with a lease (rule 2 of the design)."""

    state: str = DeliveryState.PENDING
    attempts: int = 0
    available_at: datetime
    claimed_by: str | None = None
    lease_expires_at: datetime | None = None
    #: Raised by each claim; later writes carry it, so a worker that lost its lease changes nothing.
    fence: int = 0
    error: str | None = None
    flow_run_id: str | None = None
    seq: int | None = None
