"""Sessions written at once, for tests and benchmarks that need files and no microscope."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from simulators.epu.guide import OwnOrder
from simulators.epu.manifests import WINDOWS_ROOT
from simulators.epu.microscope import Acquisition, Microscope, Plan
from simulators.epu.truth import GridTruth
from simulators.epu.writer import SessionWriter, WriteMode


@dataclass(frozen=True, slots=True)
class WrittenSession:
    """A session on disk; `path_map` maps EPU's Windows paths to it, as the agent wants it."""

    session_dir: Path
    atlas_dir: Path
    path_map: str
    acquisition: Acquisition


def session_writer(folder: Path, grid: GridTruth, *, mode: WriteMode) -> SessionWriter:
    """Return the writer of a session below `folder`, laid out as its Windows paths say."""
    return SessionWriter(folder / grid.name, folder / "atlas", grid, mode=mode)


def write_session(
    folder: Path,
    grid: GridTruth,
    *,
    mode: WriteMode = WriteMode.RENAME,
    own_holes: int = 3,
) -> WrittenSession:
    """Write a finished session: every square imaged, its first holes collected."""
    plan = Plan(collected_per_square=own_holes, own_holes=own_holes)
    writer = session_writer(folder, grid, mode=mode)
    acquisition = asyncio.run(Microscope(grid, writer, OwnOrder(), plan=plan).run())
    return WrittenSession(
        session_dir=writer.session_dir,
        atlas_dir=folder / "atlas",
        path_map=f"{WINDOWS_ROOT}={folder}",
        acquisition=acquisition,
    )
