"""Where a demonstration lives: a folder of its own, ports of its own, nobody's settings."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.access_settings import AccessSettings
from core.errors import AthanorError, PortTaken, StorageUnavailable
from core.settings import (
    AgentSettings,
    ApiSettings,
    AthenaSettings,
    DecisionSettings,
    PrefectSettings,
    Settings,
    WorkerSettings,
)
from entrypoints.ports import free_port, require_free_port

_HOST = "127.0.0.1"
_ATHENA_PORT = 8378


class Interrupted(AthanorError):
    """The demonstration was stopped before its end."""


@dataclass
class Place:
    """A folder with Athanor's home and the microscope's files in it."""

    folder: Path
    athena_port: int
    settings: Settings
    #: Whether to leave the folder for a look.
    kept: bool = False

    @property
    def microscope(self) -> Path:
        """Where the simulated microscope writes."""
        return self.folder / "microscope"

    @property
    def log_file(self) -> Path:
        """Where everything goes that would be noise on a terminal."""
        return self.settings.home / "logs" / "athanor.log"

    @property
    def api_url(self) -> str:
        """Athanor's API."""
        return f"http://{_HOST}:{self.settings.api.port}"


@contextmanager
def temporary_place() -> Iterator[Place]:
    """Make a place, and remove its folder at the end unless it is to be kept or something failed.

    Raises:
        StorageUnavailable: There is no room for temporary files.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="athanor-demo-"))
    except OSError as exc:
        raise StorageUnavailable(
            f"A temporary folder cannot be made: {exc.strerror}. "
            "Free some space, or choose another place with TMPDIR."
        ) from exc
    place = _place(folder)
    try:
        place.microscope.mkdir()
        place.log_file.parent.mkdir(parents=True)
        yield place
    except Interrupted:
        raise
    except Exception:
        place.kept = True
        raise
    finally:
        if not place.kept:
            shutil.rmtree(folder, ignore_errors=True)


def _place(folder: Path) -> Place:
    # All given here: what the environment says of a real Athanor is none of a demo's business.
    athena_port = _port(_ATHENA_PORT)
    api = ApiSettings(port=_port(ApiSettings().port))
    settings = Settings(
        home=folder / "home",
        database_url="",
        log_level="INFO",
        log_json=False,
        api=api,
        access=AccessSettings(mode="required"),
        athena=AthenaSettings(url=f"http://{_HOST}:{athena_port}"),
        decisions=DecisionSettings(),
        worker=WorkerSettings(),
        agent=AgentSettings(api_url=f"http://{_HOST}:{api.port}"),
        prefect=PrefectSettings(port=_port(PrefectSettings().port)),
    )
    return Place(folder, athena_port, settings)


def _port(usual: int) -> int:
    """Return the usual port, or a free one where something else listens there."""
    try:
        require_free_port(_HOST, usual, what="demo", setting="")
    except PortTaken:
        return free_port()
    return usual


def forget_prefect() -> None:
    """Drop what the environment says of another Prefect; call it before Prefect is imported."""
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
