"""How many good micrographs an hour each order of collection brings: `make bench-yield`.

    python -m benchmarks.yields [--seeds 20] [--pictures docs/img] [--table FILE]

Simulates 24 hours on 2 kinds of grid with predictors of 3 qualities, for 5 planners. Writes a
table and a picture of good micrographs over time; the last lines say which limits are met.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks.yields.picture import draw
from benchmarks.yields.report import table, words
from benchmarks.yields.speed import replan_seconds
from benchmarks.yields.study import run_all

_ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    """Run the study; return 0 when all limits are met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="grids of each kind")
    parser.add_argument("--pictures", type=Path, default=_ROOT / "docs" / "img")
    parser.add_argument("--table", type=Path, default=Path(__file__).with_name("measured.md"))
    chosen = parser.parse_args()
    start = time.perf_counter()
    results = run_all(seeds=tuple(range(1, chosen.seeds + 1)))
    lines = words(results, replan_seconds())
    shown = table(results)
    said = "\n".join(str(line) for line in lines)
    chosen.table.write_text(
        f"# Good micrographs per hour, mean ± deviation over {chosen.seeds} grids\n\n"
        f"{shown}\n\n```\n{said}\n```\n"
    )
    files = draw(results, chosen.pictures)
    print(f"good micrographs per hour, mean ± deviation over {chosen.seeds} grids\n{shown}\n")
    print(f"{chosen.table.name}, {', '.join(file.name for file in files)} written")
    print(f"{time.perf_counter() - start:.0f} s on {os.cpu_count()} cores")
    print(said)
    return 0 if all(line.met for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
