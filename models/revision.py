"""At which revision the schema is, without loading Alembic (which takes half a second)."""

from pathlib import Path

from sqlalchemy import inspect, text

from models.database import Database

_VERSIONS = Path(__file__).parent / "migrations" / "versions"


def newest() -> str:
    """Return the newest revision that this code knows: its files are numbered."""
    return max(path.stem.split("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))


def current(database: Database) -> str | None:
    """Return the revision that the database is at; None when it has no tables of ours."""
    with database.reading() as session:
        if not inspect(session.connection()).has_table("alembic_version"):
            return None
        return session.scalar(text("SELECT version_num FROM alembic_version"))
