"""The story that the demonstration tells: microscope, agent and model at one session."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from agent.epu.sink import HttpSink
from agent.epu.watch import Watcher
from blocks.athena import AthenaClient
from core.errors import AthanorError
from core.path_map import PathMap
from entrypoints.demo.figures import Progress, look
from entrypoints.demo.place import Place
from entrypoints.demo.screen import Screen
from models.athena import AreaType
from models.base import DeliveryState
from models.cryoem.messages import SessionEndedMessage
from models.database import Database
from simulators.epu import events
from simulators.epu.folder import session_writer
from simulators.epu.guide import AthenaGuide
from simulators.epu.manifests import WINDOWS_ROOT
from simulators.epu.microscope import Acquisition, Microscope, Plan
from simulators.epu.recipe import Recipe
from simulators.epu.writer import WriteMode
from simulators.predictors import PredictionPublisher, SimulatedModel
from simulators.predictors.publisher import grid_of

#: A square takes about two seconds, so that one can follow the story.
_PACE = 0.25
#: The simulated microscope writes a file in milliseconds.
_SETTLE_SECONDS = 0.1
#: How often the figures are read, in seconds.
_LOOK_EVERY = 0.5
#: Nothing new for so many seconds: it will not go on.
_PATIENCE = 60.0


class Stuck(AthanorError):
    """The demonstration does not go on."""


@dataclass
class Told:
    """What the microscope said on its way."""

    written: asyncio.Future[events.SessionWritten]
    found: bool = False
    imaged: int = 0
    micrographs: int = 0
    finished: bool = False
    #: Squares about which nobody said in time whether to collect them.
    unanswered: list[int] = field(default_factory=list)
    now: str = ""

    def __call__(self, event: events.MicroscopeEvent) -> None:
        """Note an event."""
        match event:
            case events.SessionWritten():
                self.written.set_result(event)
            case events.SessionFound():
                self.found = True
            case events.SquareImaged(square_id=square, holes=holes):
                self.imaged += 1
                self.now = f"square {square}: {len(holes)} holes found"
            case events.SquareDecided(square_id=square, selected=None):
                self.unanswered.append(square)
            case events.SquareDecided(square_id=square, selected=selected):
                self.now = f"square {square}: {'collect' if selected else 'skip'} it"
            case events.HolesDecided(square_id=square, selected=holes) if holes is not None:
                self.now = f"square {square}: {len(holes)} holes selected"
            case events.MicrographTaken():
                self.micrographs += 1
            case _:
                pass


@dataclass(frozen=True)
class Ending:
    """What came of the session."""

    grid_uuid: UUID
    acquisition: Acquisition
    unanswered: tuple[int, ...]
    #: States that Athena did not take, for lack of the area.
    unreported: int
    progress: Progress


class Story:
    """One session on a running Athanor."""

    def __init__(self, place: Place, recipe: Recipe, screen: Screen, *, key: str) -> None:
        """Take where, what and whom to tell, and a key for the API; nothing begins."""
        self._place = place
        self._key = key
        self._recipe = recipe
        self._grid = recipe.grow()
        self._screen = screen
        self._database = Database(place.settings.resolved_database_url)

    async def tell(self) -> Ending:
        """Image the grid, predict, and end the session once everything has arrived.

        Raises:
            Stuck: Nothing new came for a minute.
            AthanorError: One of those who take part failed.
        """
        try:
            async with asyncio.TaskGroup() as group:
                return await self._tell(group)
        except ExceptionGroup as failed:
            # The first failure took the others with it.
            raise failed.exceptions[0] from failed
        finally:
            self._database.close()

    async def _tell(self, group: asyncio.TaskGroup) -> Ending:
        place = self._place
        told = Told(asyncio.get_running_loop().create_future())
        async with (
            HttpSink(place.api_url, key=self._key) as sink,
            AthenaClient(place.settings.athena.url) as asks,
        ):
            watcher = Watcher(
                place.microscope,
                sink,
                settle_seconds=_SETTLE_SECONDS,
                path_map=PathMap.parse([f"{WINDOWS_ROOT}={place.microscope}"]),
            )
            watching = group.create_task(watcher.run(), name="agent")
            guide = AthenaGuide(
                asks,
                f"Grid_{self._grid.name}",
                decision_timeout=_PATIENCE,
                session_timeout=_PATIENCE,
            )
            imaging = group.create_task(self._image(guide, told), name="microscope")
            written = await told.written
            grid_uuid = await asyncio.to_thread(grid_of, written.session_path)
            predicting = group.create_task(self._predict(grid_uuid), name="model")
            await self._until(grid_uuid, told, lambda now: self._has_arrived(now, told))
            acquisition = await imaging
            await predicting
            await sink.send(
                [
                    SessionEndedMessage(
                        grid_uuid=grid_uuid, reason="finished", last_file_at=None, message_id=None
                    )
                ]
            )
            closed = await self._until(grid_uuid, told, _is_closed)
            watcher.stop()
            await watching
        return Ending(grid_uuid, acquisition, tuple(told.unanswered), guide.unreported, closed)

    async def _image(self, guide: AthenaGuide, told: Told) -> Acquisition:
        writer = session_writer(self._place.microscope, self._grid, mode=WriteMode.IN_PLACE)
        plan = Plan(pace=_PACE)
        acquisition = await Microscope(self._grid, writer, guide, plan=plan, on_event=told).run()
        told.finished = True
        return acquisition

    async def _predict(self, grid_uuid: UUID) -> None:
        model = SimulatedModel("demo-model", seed=self._recipe.seed)
        url = self._place.api_url
        async with PredictionPublisher(
            url, grid_uuid, self._grid, model, key=self._key
        ) as publisher:
            # As a model service does: it is asked about squares and holes that Athanor knows.
            await publisher.follow(until_seconds=10 * _PATIENCE)

    async def _until(
        self, grid_uuid: UUID, told: Told, arrived: Callable[[Progress], bool]
    ) -> Progress:
        """Show the figures until they are as they should be."""
        last: object = None
        changed_at = time.monotonic()
        while True:
            progress = await self._database.read(look, grid_uuid)
            self._screen.step("Session at Athena", int(told.found), 1)
            if progress is not None and told.found:
                self._show(progress, told)
                if arrived(progress):
                    return progress
            news = (progress and progress.summary, told.imaged, told.micrographs)
            if news != last:
                last, changed_at = news, time.monotonic()
            elif time.monotonic() - changed_at > _PATIENCE:
                raise Stuck(
                    f"Nothing new for {_PATIENCE:.0f} s: {_describe(progress)}. "
                    f"See {self._place.log_file}"
                )
            await asyncio.sleep(_LOOK_EVERY)

    def _has_arrived(self, progress: Progress, told: Told) -> bool:
        """Tell whether all that the session consists of is where it belongs."""
        entities = progress.summary.entities
        return (
            told.finished
            and entities["predictions"] >= self._predictable
            and entities["micrographs"] >= told.micrographs
            and _areas(progress) >= self._predictable
            and not _under_way(progress)
        )

    @property
    def _predictable(self) -> int:
        return len(self._grid.squares) + sum(1 for _ in self._grid.holes)

    def _show(self, progress: Progress, told: Told) -> None:
        summary, screen = progress.summary, self._screen
        squares, everything = len(self._grid.squares), self._predictable
        screen.step("Squares imaged", told.imaged, squares, "" if told.finished else told.now)
        screen.step("Areas at Athena", _areas(progress), everything)
        screen.step("Predictions", summary.entities["predictions"], everything)
        screen.step("Selections at Athena", progress.selections, 2 * squares)
        taken = summary.entities["micrographs"]
        screen.step("Micrographs", taken, told.micrographs if told.finished else None)
        if told.finished and taken == told.micrographs:
            screen.step("Session closed", int(summary.run_stopped_at is not None), 1)


def _under_way(progress: Progress) -> int:
    """Return how many messages and decisions are neither through nor given up."""
    return sum(
        queue.get(state, 0)
        for queue in (progress.inbox, progress.outbox)
        for state in (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.WAITING)
    )


def _areas(progress: Progress) -> int:
    """Return how many squares and holes Athena knows; the atlas comes with an order."""
    return sum(number for kind, number in progress.summary.areas.items() if kind != AreaType.ATLAS)


def _is_closed(progress: Progress) -> bool:
    return progress.summary.run_stopped_at is not None


def _describe(progress: Progress | None) -> str:
    if progress is None:
        return "Athanor does not know the session yet"
    entities = ", ".join(f"{number} {name}" for name, number in progress.summary.entities.items())
    return f"{entities}; inbox {progress.inbox}; outbox {progress.outbox}"
