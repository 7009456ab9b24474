"""Prefect's database as its first start leaves it, made once for all tests of a run.

Its migrations take longer than the rest of a server's start; the demo's tests go through them.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path


def lay_out(home: Path) -> None:
    """Give an Athanor that was never started a migrated database for its Prefect server."""
    folder = home / "prefect"
    folder.mkdir()
    shutil.copyfile(_template(home), folder / "prefect.db")


def _template(path: Path) -> Path:
    """Return the migrated database; whoever comes first makes it and the others wait."""
    made = _of_this_run(path) / "prefect-template.db"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            being_made = made.with_suffix(".new")
            subprocess.run(
                [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"],
                env={
                    **os.environ,
                    "PREFECT_API_URL": "",
                    "PREFECT_HOME": str(made.parent / "prefect-template"),
                    "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{being_made}",
                },
                check=True,
                capture_output=True,
                timeout=150,
            )
            being_made.rename(made)
    return made


def _of_this_run(path: Path) -> Path:
    """Return the folder that all processes of this run of the tests share."""
    return next(
        (folder for folder in path.parents if re.fullmatch(r"pytest-\d+", folder.name)), path.parent
    )
