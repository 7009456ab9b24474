"""From EPU's files to rows and areas, by real processes: `python -m benchmarks.files`.

PostgreSQL (a private server), Prefect's server, API, one worker, a simulated Athena, and the
agent. All files are written beforehand and renamed into the watched folder. The figures:

- a burst of 500 files of a session that is known, after a pause in which all runs end: from
  the first file to the last area's registration at Athena;
- a stream of files, one after the other, somewhat faster than the limit: files a second from
  the first file until the last image is a row;
- a whole session of 40,000 holes appears at once: the same;
- the agent is killed (-9) and started again over these sessions: until it knows where every
  file stands, and its peak of memory then. Nothing may be reported again.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from agent.epu.state import StateFolder
from benchmarks.facility import (
    Facility,
    KeptProcess,
    end_on_sigterm,
    private_facility,
    together,
    wait_for,
)
from domains.cryoem import ids
from simulators.epu.folder import write_session
from simulators.epu.manifests import WINDOWS_ROOT, session_manifest
from simulators.epu.truth import GridTruth, grow_grid

BURST_FILES = 500
STREAM_FILES_A_SECOND = 250
LIMIT_BURST_SECONDS = 3.0
LIMIT_FILES_A_SECOND = 200
LIMIT_RESCAN_SECONDS = 60.0
LIMIT_RESCAN_MB = 300
#: Longer than runs wait for more: none of an earlier message goes on afterwards.
PAUSE_SECONDS = 6.0


@dataclass(frozen=True)
class Staged:
    """A finished session that lies ready to be moved into the watched folder."""

    grid: GridTruth
    folder: Path
    files: int
    images: int

    @property
    def uuid(self) -> str:
        """The grid's uuid."""
        return str(ids.grid_uuid(session_manifest(self.grid)))


class Looks:
    """Looks into the database over one connection, which costs the server little."""

    def __init__(self, url: str) -> None:
        """Connect."""
        self._connection = psycopg.connect(url, autocommit=True)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def one(self, query: str, *values: object) -> int:
        """Return the one number that a query gives."""
        row = self._connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return row[0]

    def has_images(self, staged: Staged) -> bool:
        """Return whether all images of a session are rows, or in the rows of their holes."""
        return all(
            self.one(query, staged.uuid) == staged.images
            for query in (
                "SELECT count(*) FROM micrograph WHERE grid_uuid = %s",
                "SELECT count(*) FROM hole WHERE image_id IS NOT NULL AND grid_uuid = %s",
            )
        )


def main() -> int:
    """Measure; return 0 when all limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squares", type=int, default=80, help="of the large grid")
    parser.add_argument("--holes", type=int, default=40_000, help="of the large grid")
    parser.add_argument("--collected", type=int, default=500, help="holes imaged on a square")
    parser.add_argument("--logs", type=Path, help="folder in which the processes' logs stay")
    chosen = parser.parse_args()
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="athanor-files-") as made:
        work = Path(made)
        burst = stage(work, "burst", squares=20, holes=480, collected=12)
        stream = stage(work, "stream", squares=20, holes=2_600, collected=130)
        large = stage(
            work, "large", squares=chosen.squares, holes=chosen.holes, collected=chosen.collected
        )
        print(f"{large.files:,} files of {chosen.holes:,} holes lie ready", flush=True)
        watched = work / "watched"
        watched.mkdir()
        with private_facility(chosen.logs, ATHANOR_LOG_LEVEL="WARNING") as plant:
            agent = start(plant, watched)
            with closing(Looks(plant.database_url)) as looks:
                lines = [
                    measure_burst(looks, burst, watched),
                    measure_stream(looks, stream, watched),
                    measure_sustained(looks, large, watched),
                    measure_rescan(looks, plant, agent, watched, [burst, stream, large]),
                ]
    for text, _ in lines:
        print(text)
    return 0 if all(kept for _, kept in lines) else 1


def stage(work: Path, name: str, *, squares: int, holes: int, collected: int) -> Staged:
    """Write a finished session beside the watched folder."""
    grid = grow_grid(len(name), squares=squares, holes=holes, name=name)
    folder = work / f"staged-{name}"
    written = write_session(folder, grid, own_holes=collected)
    return Staged(grid, folder, len(manifests(folder)), len(written.acquisition.micrographs))


def manifests(folder: Path) -> list[Path]:
    """Return the files below a folder that the agent reads."""
    return [path for path in folder.rglob("*") if path.suffix in (".dm", ".xml")]


def start(plant: Facility, watched: Path) -> KeptProcess:
    """Start everything; return the agent."""
    plant.environment["ATHANOR_AGENT__API_URL"] = plant.api_url
    together(plant.athena, plant.prefect)
    plant.run("init")
    together(plant.api, lambda: plant.workers(1))
    agent = plant.keep(
        "agent", "agent", "watch", str(watched), "--path-map", f"{WINDOWS_ROOT}={watched}"
    )
    agent.says("Watching")
    return agent


def introduce(looks: Looks, staged: Staged, watched: Path) -> list[Path]:
    """Have a session and its atlas known at Athena; after a pause, return its other files."""
    home = staged.folder / staged.grid.name
    for path in (home / "EpuSession.dm", *staged.folder.glob("atlas/**/Atlas.dm")):
        put(path, watched / path.relative_to(staged.folder))
    registered = (
        "SELECT count(*) FROM athena_session WHERE run_number IS NOT NULL AND grid_uuid = %s"
    )
    wait_for(
        lambda: looks.one(registered, staged.uuid) == 1, seconds=120, what="the session at Athena"
    )
    time.sleep(PAUSE_SECONDS)
    # The squares' own files first, as EPU writes them.
    return sorted(manifests(staged.folder), key=lambda path: (path.suffix, str(path)))


def measure_burst(looks: Looks, staged: Staged, watched: Path) -> tuple[str, bool]:
    """Return the line about a burst, and whether its limit is kept."""
    files = introduce(looks, staged, watched)
    burst, rest = files[:BURST_FILES], files[BURST_FILES:]
    areas = "SELECT count(*) FROM athena_area WHERE registered_at IS NOT NULL AND grid_uuid = %s"
    wanted = len(staged.grid.squares) + sum(1 for _ in staged.grid.holes)
    began = time.monotonic()
    for path in burst:
        put(path, watched / path.relative_to(staged.folder))
    wait_for(lambda: looks.one(areas, staged.uuid) == wanted, seconds=60, what="all areas")
    seconds = time.monotonic() - began
    for path in rest:
        put(path, watched / path.relative_to(staged.folder))
    return (
        f"burst of {len(burst)} EPU files → all {wanted} areas at Athena: {seconds:.2f} s "
        f"(limit {LIMIT_BURST_SECONDS:g} s)",
        seconds <= LIMIT_BURST_SECONDS,
    )


def measure_stream(looks: Looks, staged: Staged, watched: Path) -> tuple[str, bool]:
    """Return the line about files that come one by one, and whether its limit is kept."""
    files = introduce(looks, staged, watched)
    began = time.monotonic()
    for number, path in enumerate(files):
        time.sleep(max(began + number / STREAM_FILES_A_SECOND - time.monotonic(), 0.0))
        put(path, watched / path.relative_to(staged.folder))
    written = time.monotonic()
    wait_for(lambda: looks.has_images(staged), seconds=200, what="the stream's images as rows")
    ended = time.monotonic()
    rate = len(files) / (ended - began)
    return (
        f"stream of {len(files):,} files, {len(files) / (written - began):.0f} files/s, to rows: "
        f"{rate:.0f} files/s (limit {LIMIT_FILES_A_SECOND} files/s), all there "
        f"{ended - written:.1f} s after the last file",
        rate >= LIMIT_FILES_A_SECOND,
    )


def measure_sustained(looks: Looks, staged: Staged, watched: Path) -> tuple[str, bool]:
    """Return the line about a whole session's files, and whether its limit is kept."""
    began = time.monotonic()
    shutil.move(staged.folder / "atlas" / f"Supervisor_{staged.grid.name}_atlas", watched / "atlas")
    (staged.folder / staged.grid.name).replace(watched / staged.grid.name)
    wait_for(lambda: looks.has_images(staged), seconds=500, what=f"{staged.images} images as rows")
    rate = staged.files / (time.monotonic() - began)
    return (
        f"{staged.files:,} files at once to rows: {rate:.0f} files/s "
        f"(limit {LIMIT_FILES_A_SECOND} files/s)",
        rate >= LIMIT_FILES_A_SECOND,
    )


def measure_rescan(
    looks: Looks, plant: Facility, agent: KeptProcess, watched: Path, sessions: Sequence[Staged]
) -> tuple[str, bool]:
    """Return the line about a restart of the agent, and whether its limits are kept."""
    files = sum(staged.files for staged in sessions)
    state = StateFolder.of(plant.home, watched)
    wait_for(lambda: is_through(state, files, since=0.0), seconds=120, what="the agent's rest")
    messages = "SELECT count(*) FROM inbox_message"
    before, peak_before = looks.one(messages), peak_mb(agent.pid)
    agent.hold_down()
    wait_for(lambda: not state.is_in_use(), seconds=10, what="the agent's end")
    since, began = time.time(), time.monotonic()
    agent.let_up()
    wait_for(lambda: is_through(state, files, since=since), seconds=120, what="the rescan")
    seconds = time.monotonic() - began
    peak = peak_mb(agent.pid)
    again = looks.one(messages) - before
    return (
        f"{files:,} files rescanned after kill -9: {seconds:.1f} s (limit "
        f"{LIMIT_RESCAN_SECONDS:g} s), {peak:.0f} MB at most (limit {LIMIT_RESCAN_MB} MB; "
        f"{peak_before:.0f} MB while it reported them), {again} reported again",
        seconds <= LIMIT_RESCAN_SECONDS and peak <= LIMIT_RESCAN_MB and again == 0,
    )


def is_through(state: StateFolder, files: int, *, since: float) -> bool:
    """Return whether an agent that began since then knows where every file stands."""
    found: dict[str, Any] = state.read_status() or {}
    if found.get("began_at", 0.0) < since:
        return False
    counts = found["files"]
    if counts["failed"]:
        raise SystemExit(f"files failed: {json.dumps(found['failures'][:3])}")
    return counts["waiting"] == 0 and counts["reported"] == files


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has had resident, in MB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1e3
    raise SystemExit("this system does not tell a process's peak of memory")


def put(source: Path, target: Path) -> None:
    """Rename a file into place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


if __name__ == "__main__":
    sys.exit(main())
