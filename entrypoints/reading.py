"""The database as commands use it: only one that is there and at the right schema."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from core.errors import StorageUnavailable
from core.settings import Settings
from entrypoints.following import followed
from models import revision
from models.database import Database


@contextmanager
def opened_database(settings: Settings, *, serving: bool = False) -> Iterator[Database]:
    """Give the database in use.

    What the command changes in it is written into the audit; not so with `serving`, for processes
    that work for others than whoever started them.

    Raises:
        StorageUnavailable: It is not there, or its schema is another than this code's.
    """
    database = Database(settings.resolved_database_url, visit_pattern=settings.access.visit_pattern)
    try:
        _require_file(database)
        found, wanted = revision.current(database), revision.newest()
        if found != wanted:
            where = database.url.render_as_string(hide_password=True)
            has = f"has schema {found}" if found else "has no tables yet"
            raise StorageUnavailable(
                f"Database {where} {has}, this Athanor needs {wanted}. Run `athanor init`."
            )
        with nullcontext() if serving else followed():
            yield database
    finally:
        database.close()


def _require_file(database: Database) -> None:
    """Refuse an SQLite file that is not there, which opening would make."""
    path = database.url.database
    if not database.is_sqlite or not path or path == ":memory:" or path.startswith("file:"):
        return
    if not Path(path).exists():
        raise StorageUnavailable(
            f"There is no database at {path} yet. Run `athanor init` or `athanor up`, "
            "or name another with ATHANOR_HOME or ATHANOR_DATABASE_URL."
        )
