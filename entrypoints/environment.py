"""The environment that Prefect reads at its import: set here, before anything imports it."""

import os
from pathlib import Path

from core.errors import StorageUnavailable
from core.settings import Settings


def prepare_prefect(settings: Settings) -> bool:
    """Point Prefect's client at the right server; return whether that is one of our own.

    PREFECT_API_URL, where set, names a server that somebody else runs.
    """
    foreign = bool(os.environ.get("PREFECT_API_URL"))
    if not foreign:
        own = f"http://{settings.prefect.host}:{settings.prefect.port}/api"
        os.environ["PREFECT_API_URL"] = own
    os.environ.setdefault("PREFECT_HOME", str(settings.home / "prefect"))
    # Runs report to Prefect's pages, with what our tasks log; on standard error both would
    # be noise.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "tasks")
    os.environ.setdefault("PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW", "ignore")
    os.environ["DO_NOT_TRACK"] = "1"
    return not foreign


def ui_url() -> str:
    """Return the address of Prefect's pages."""
    return os.environ.get("PREFECT_API_URL", "").removesuffix("/").removesuffix("/api")


def make_home(home: Path) -> None:
    """Make Athanor's folder.

    Raises:
        StorageUnavailable: It cannot be made or written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StorageUnavailable(
            f"Athanor cannot write in its folder {home}: {error.strerror}. "
            "Give it rights there, or choose another folder with ATHANOR_HOME."
        ) from error
