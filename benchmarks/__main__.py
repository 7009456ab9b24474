"""All figures, one after the other: `make bench`, or `python -m benchmarks [EPU_FOLDER]`.

EPU_FOLDER holds real EPU files with dls-2024 among them; without it (and without a folder
`../shared/epu`) the figures of real files are left out.
"""

import argparse
import subprocess
import sys
from pathlib import Path

_BESIDE_THE_REPOSITORY = Path(__file__).resolve().parent.parent.parent / "shared" / "epu"


def main() -> int:
    """Run every benchmark; return 0 when all limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("epu", type=Path, nargs="?", default=_BESIDE_THE_REPOSITORY)
    epu = parser.parse_args().epu
    commands = [["areas"], ["predictions"], ["measurements"], ["ring"], ["demo"]]
    if epu.is_dir():
        commands[:0] = [["parse", str(epu)], ["ingest", str(epu / "dls-2024")]]
    else:
        print(f"no folder {epu}: the figures of real EPU files are left out", file=sys.stderr)
    missed = []
    for name, *arguments in commands:
        print(f"── {name}", flush=True)
        module = f"benchmarks.{name}"
        if subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode:
            missed.append(name)
    print("all limits kept" if not missed else f"limits missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
