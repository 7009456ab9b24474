"""`athanor …` run to its end, as a person runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.support import PATIENCE

#: Root may do anything to any file: without these rights of its own it is as others are.
#: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, out of the set that the next program may have.
_PRELUDE = """
import ctypes, os, resource, sys
if sys.platform == "linux" and os.geteuid() == 0:
    libc = ctypes.CDLL(None, use_errno=True)
    assert all(libc.prctl(24, right, 0, 0, 0) == 0 for right in (1, 2)), "cannot drop rights"
if largest := int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
os.execv(sys.executable, [sys.executable, "-m", "entrypoints.cli", *sys.argv[2:]])
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        return json.loads(self.output)

    @property
    def sentence(self) -> str:
        """The one thing that it said, which is no traceback."""
        said = self.errors.strip()
        assert "Traceback" not in said
        assert "should not happen" not in said, said
        assert len(said.splitlines()) == 1, said
        return said


def athanor(
    *arguments: str | Path,
    environment: Mapping[str, str],
    largest_file: int = 0,
    timeout: float = PATIENCE,
) -> Ended:
    """Run a command with nobody's special rights; `largest_file` bounds what it writes, in bytes.

    A bound on files is as near to a full disk as a test comes without a disk of its own.
    """
    command: Sequence[str] = [sys.executable, "-c", _PRELUDE, str(largest_file)]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PREFECT_API_URL": "", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
