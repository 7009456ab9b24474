"""How fast EPU files are read: `python -m benchmarks.parse FOLDER`.

Two figures over the real files below FOLDER, on one core: milliseconds for the square
with the most holes (limit 150), and image manifests per second (limit 300).
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent.epu.names import Kind, classify
from agent.epu.read import read_manifest
from domains.cryoem.manifests import SquareManifest

SQUARE_LIMIT_MS = 150.0
IMAGES_LIMIT_PER_S = 300.0
_ROUNDS = 15


def best_seconds(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Return the shortest of several runs, which other load on the machine disturbs least."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with EPU files, at any depth")
    folder = parser.parse_args().folder
    paths = {kind: [p for p in folder.rglob("*") if classify(p).kind is kind] for kind in Kind}
    squares = [(path, read_manifest(path)) for path in paths[Kind.SQUARE]]
    if not squares or not paths[Kind.IMAGE]:
        print(f"no GridSquare .dm or no image manifests below {folder}", file=sys.stderr)
        return 2
    sizes = {path: len(m.holes) for path, m in squares if isinstance(m, SquareManifest)}
    largest = max(sizes, key=lambda path: sizes[path])
    milliseconds = best_seconds(lambda: read_manifest(largest)) * 1e3
    images = paths[Kind.IMAGE]
    rate = len(images) / best_seconds(lambda: [read_manifest(path) for path in images])
    print(
        f"{largest.name}, {sizes[largest]} holes: {milliseconds:.1f} ms (limit {SQUARE_LIMIT_MS:g})"
    )
    print(f"{len(images)} image manifests: {rate:,.0f} /s (limit {IMAGES_LIMIT_PER_S:g})")
    return 0 if milliseconds <= SQUARE_LIMIT_MS and rate >= IMAGES_LIMIT_PER_S else 1


if __name__ == "__main__":
    sys.exit(main())
