"""The acquisition: EPU's order of work, files and questions, at any speed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from models.athena import AcquisitionState, EngineState
from simulators.epu import manifests
from simulators.epu.events import (
    HolesDecided,
    MicrographTaken,
    MicroscopeEvent,
    SessionFound,
    SessionWritten,
    SquareDecided,
    SquareFinished,
    SquareImaged,
)
from simulators.epu.formats import HoleImages
from simulators.epu.guide import Guide
from simulators.epu.manifests import SquareProgress
from simulators.epu.truth import GridTruth, HoleTruth, SquareTruth
from simulators.epu.writer import SessionWriter, stamp

T = TypeVar("T")

#: What each step takes at a real microscope, minutes.
_ATLAS_MINUTES = 20.0
SQUARE_MINUTES = 1.5
HOLE_MINUTES = 0.2
EXPOSURE_MINUTES = 0.1

#: EPU names a file a little after the image was taken.
_NAMING_DELAY = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class Plan:
    """How the microscope works.

    Args:
        collected_per_square: Most holes collected on one square.
        own_holes: Holes collected on a square that nobody decided about, in EPU's own order.
        pace: Seconds of real time for a simulated minute; 0 is as fast as can be.
    """

    collected_per_square: int = 10
    own_holes: int = 3
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What came of it: stems of the micrographs by hole, and what was left out or undecided."""

    micrographs: dict[int, str] = field(default_factory=dict)
    skipped: tuple[int, ...] = ()
    undecided: tuple[int, ...] = ()


class Clock:
    """Simulated time, which passes by what is done."""

    def __init__(self, start: datetime, pace: float) -> None:
        self.now = start
        self._pace = pace

    async def spend(self, minutes: float) -> None:
        """Let simulated minutes pass, and as much real time as the pace wants."""
        self.now += timedelta(minutes=minutes)
        await asyncio.sleep(minutes * self._pace)


class Microscope:
    """Images one grid: writes EPU's files, asks what to collect, collects it and says so."""

    def __init__(
        self,
        grid: GridTruth,
        writer: SessionWriter,
        guide: Guide,
        *,
        plan: Plan | None = None,
        on_event: Callable[[MicroscopeEvent], None] = lambda _event: None,
    ) -> None:
        """Prepare, and begin nothing.

        Args:
            grid: What is true of the grid.
            writer: Where its files go.
            guide: Who decides what to collect.
            plan: How to work.
            on_event: Told of each step, on the event loop; must not block.
        """
        self._grid = grid
        self._writer = writer
        self._guide = guide
        self._plan = plan or Plan()
        self._tell = on_event
        self._clock = Clock(grid.started_at, self._plan.pace)
        self._micrographs: dict[int, str] = {}
        self._skipped: list[int] = []
        self._undecided: list[int] = []

    async def run(self) -> Acquisition:
        """Image the whole grid.

        Raises:
            NotFound: The guide's session did not appear in time.
            AthenaError: Athena failed in a way that waiting does not heal.
        """
        await asyncio.to_thread(self._write_session)
        squares = tuple(square.square_id for square in self._grid.squares)
        self._tell(SessionWritten(self._writer.session_path, squares))
        await self._clock.spend(_ATLAS_MINUTES)
        session = await self._guide.connect()
        if session is not None:
            self._tell(SessionFound(session))
        await self._guide.report_engine(EngineState.RUNNING)
        for square in self._grid.squares:
            await self._image(square)
        await self._guide.report_engine(EngineState.IDLE)
        return Acquisition(self._micrographs, tuple(self._skipped), tuple(self._undecided))

    def _write_session(self) -> None:
        self._writer.session()
        self._writer.atlas()
        for square in self._grid.squares:
            self._writer.square(square)

    async def _image(self, square: SquareTruth) -> None:
        await self._clock.spend(SQUARE_MINUTES)
        stem = f"GridSquare_{self._stamp()}"
        image = manifests.square_image(self._grid, square, stem, self._clock.now)
        await asyncio.to_thread(self._writer.square_image, square, stem, image)
        await asyncio.to_thread(self._writer.square, square, SquareProgress(image=stem))
        holes = tuple(hole.hole_id for hole in square.holes)
        self._tell(SquareImaged(square.square_id, holes))

        selected, waited = await _timed(self._guide.square_selected(square.square_id))
        self._tell(SquareDecided(square.square_id, selected, waited))
        if selected is False:
            await self._skip(square, stem)
        else:
            await self._collect(square, stem)
        await asyncio.to_thread(self._writer.session)

    async def _skip(self, square: SquareTruth, stem: str) -> None:
        await self._guide.report(square.square_id, AcquisitionState.SKIPPED)
        left = SquareProgress(image=stem, selected=False, chosen=())
        await asyncio.to_thread(self._writer.square, square, left)
        self._skipped.append(square.square_id)
        self._tell(SquareFinished(square.square_id, 0))

    async def _collect(self, square: SquareTruth, stem: str) -> None:
        await self._guide.report(square.square_id, AcquisitionState.STARTED)
        chosen, waited = await _timed(self._guide.holes_selected(square.square_id))
        self._tell(HolesDecided(square.square_id, chosen, waited))
        taken = {
            hole.hole_id: await self._expose(square, hole) for hole in self._turn(square, chosen)
        }
        done = SquareProgress(image=stem, finished=True, chosen=chosen, collected=frozenset(taken))
        await asyncio.to_thread(self._writer.square, square, done, taken)
        await self._guide.report(square.square_id, AcquisitionState.COMPLETED)
        self._tell(SquareFinished(square.square_id, len(taken)))

    def _turn(self, square: SquareTruth, chosen: frozenset[int] | None) -> list[HoleTruth]:
        """Return the holes to collect, in EPU's order."""
        if chosen is None:
            self._undecided.append(square.square_id)
            own = [hole for hole in square.holes if not hole.near_bar]
            return own[: min(self._plan.own_holes, self._plan.collected_per_square)]
        told = [hole for hole in square.holes if hole.hole_id in chosen]
        return told[: self._plan.collected_per_square]

    async def _expose(self, square: SquareTruth, hole: HoleTruth) -> HoleImages:
        await self._guide.report(hole.hole_id, AcquisitionState.STARTED)
        await self._clock.spend(HOLE_MINUTES)
        hole_stem = f"FoilHole_{hole.hole_id}_{self._stamp()}"
        image = manifests.hole_image(self._grid, square, hole, hole_stem, self._clock.now)
        await asyncio.to_thread(self._writer.hole_image, square, hole_stem, image)

        await self._clock.spend(EXPOSURE_MINUTES)
        area, setting = self._grid.ids.exposures[0]
        stem = f"FoilHole_{hole.hole_id}_Data_{area}_{setting}_{self._stamp()}"
        image = manifests.micrograph_image(self._grid, square, hole, stem, self._clock.now)
        await asyncio.to_thread(self._writer.micrograph, square, stem, image)

        await self._guide.report(hole.hole_id, AcquisitionState.COMPLETED)
        self._micrographs[hole.hole_id] = stem
        self._tell(MicrographTaken(square.square_id, hole.hole_id, stem))
        return HoleImages(hole_stem, (stem,))

    def _stamp(self) -> str:
        return stamp(self._clock.now + _NAMING_DELAY)


async def _timed(answer: Awaitable[T]) -> tuple[T, float]:
    """Return the answer and the seconds that it took."""
    begun = time.monotonic()
    return await answer, time.monotonic() - begun
