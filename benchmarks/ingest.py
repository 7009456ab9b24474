"""How long `athanor ingest` takes beyond the interpreter's start.

    python -m benchmarks.ingest FOLDER

FOLDER holds `session/` and `atlas/`, as dls-2024 does. The first import into an empty SQLite
database (its tables are made too) and the second, which changes nothing. Limit: 3 s.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_SECONDS = 3.0


def main() -> int:
    """Measure; return 0 when the limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with session/ and atlas/")
    folder = parser.parse_args().folder
    nothing = _seconds(["-c", "pass"], {})
    kept = True
    with tempfile.TemporaryDirectory() as home:
        session, atlas = str(folder / "session"), str(folder / "atlas")
        command = ["-m", "entrypoints.cli", "ingest", session, "--atlas", atlas, "--json"]
        for name in ("first import", "second import"):
            seconds = _seconds(command, {"ATHANOR_HOME": home}) - nothing
            kept = kept and seconds <= LIMIT_SECONDS
            print(f"{name} of {folder.name}: {seconds:.2f} s (limit {LIMIT_SECONDS:g})")
    return 0 if kept else 1


def _seconds(arguments: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
