"""Run by Alembic: connects and migrates."""

from typing import Literal

from alembic import context
from sqlmodel import SQLModel

from models.database import Database
from models.registry import all_tables

all_tables()


def render_item(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write SQLModel's own column types as what they are in the database."""
    name = type(item).__name__
    if kind == "type" and name == "UTCDateTime":
        return "sa.DateTime(timezone=True)"
    if kind == "type" and name == "AutoString":
        return "sa.String()"
    return False


#: Which advisory lock of PostgreSQL stands for "the schema is being changed".
_MIGRATION_LOCK = 0x4154484D

database: Database = context.config.attributes["database"]
with database.engine.connect() as connection:
    if not database.is_sqlite:
        # SQLite lets one in at a time; here a second process waits, then finds all done.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        # SQLite cannot alter most things in place; Alembic copies the table instead.
        render_as_batch=database.is_sqlite,
        render_item=render_item,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
