"""How a command's process ends."""

import subprocess
import sys

from tests.conftest import ROOT
from tests.support import PATIENCE

PROGRAM = """
import sys, threading
from entrypoints import cli

cli.LINGERS_FOR = 0.2
threading.Thread(target=threading.Event().wait, name="a library's, which never ends").start()
sys.argv = ["athanor", *sys.argv[1:]]
cli.main()
"""


def test_a_process_ends_with_its_exit_code_though_a_librarys_thread_does_not() -> None:
    def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    fine, misused = ended("--version"), ended("--bogus")

    assert (fine.returncode, misused.returncode) == (0, 2)
    assert fine.stdout.startswith("athanor ")
    assert "--bogus" in misused.stderr
