"""Alembic migrations: the only way in which the schema changes."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from models.database import Database
from models.registry import all_tables


def config(database: Database) -> Config:
    """Return Alembic's configuration for a database."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.attributes["database"] = database
    return made


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema up to a revision; nothing happens when it is there already."""
    if revision != "head" or current(database) != head():
        database.check()
        with database.translated():
            command.upgrade(config(database), revision)


def downgrade(database: Database, revision: str = "base") -> None:
    """Take the schema back to a revision."""
    with database.translated():
        command.downgrade(config(database), revision)


def head() -> str | None:
    """Return the newest revision that this code knows."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    return ScriptDirectory.from_config(made).get_current_head()


def current(database: Database) -> str | None:
    """Return the revision that the database is at."""
    with database.reading() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def differences(database: Database) -> list[object]:
    """Return how the migrated schema differs from the models; empty when they agree."""
    all_tables()
    with database.reading() as session:
        context = MigrationContext.configure(
            session.connection(), opts={"compare_type": True, "compare_server_default": False}
        )
        return list(compare_metadata(context, SQLModel.metadata))
