"""The demonstration from start to end: everything up, the story, its figures, everything down."""

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from blocks.athena import AthenaClient
from core.clock import utcnow
from core.permissions import Role
from entrypoints import up as wiring
from entrypoints.demo import figures
from entrypoints.demo.outcome import AthenaFigures, Outcome, Worth, mismatches
from entrypoints.demo.place import Interrupted, Place
from entrypoints.demo.screen import Screen, Start
from entrypoints.demo.story import Ending, Story
from entrypoints.environment import ui_url
from entrypoints.supervisor import Supervisor
from models.access import machines
from models.database import Database
from simulators.athena.server import running
from simulators.epu.recipe import Recipe
from simulators.epu.truth import GridTruth
from simulators.epu.worth import worth as session_worth
from simulators.yields import worth as order_worth

logger = logging.getLogger(__name__)

#: Seconds that runs get to end after the session has: they linger for more messages.
_RUNS_END_IN = 15.0
_LOOK_EVERY = 0.5
_START_LOOK_EVERY = 0.1
#: States of runs that have not ended.
_GOING = frozenset({"Pending", "Running", "Late", "Retrying", "AwaitingRetry", "Cancelling"})


@dataclass(frozen=True)
class Demonstration:
    """One demonstration, on an Athanor of its own."""

    place: Place
    recipe: Recipe
    screen: Screen
    start: Start
    #: When it began, on the monotonic clock.
    began: float

    async def perform(
        self,
        supervisor: Supervisor,
        *,
        ended: Callable[[Outcome], bool],
        stopping: Callable[[], None],
    ) -> Outcome:
        """Start everything, tell the story, stop everything.

        Args:
            supervisor: Everything that `athanor up` runs, not yet started.
            ended: Told the outcome while everything is up; returns whether to leave it up
                until somebody says stop.
            stopping: Told when everything is about to be stopped.

        Raises:
            Interrupted: Somebody said stop before the end.
            AthanorError: Something could not start, or did not go on.
        """
        # What was imported stays: the collector need not look at it again and again.
        gc.freeze()
        async with running(port=self.place.athena_port):
            ready = asyncio.Event()
            up = asyncio.create_task(wiring.run(supervisor, started=ready.set))
            telling = asyncio.create_task(self._tell(ready))
            try:
                await asyncio.wait({up, telling}, return_when=asyncio.FIRST_COMPLETED)
                # What stops first is missed by the story, whose error then is no news.
                if not telling.done() or supervisor.is_stopping:
                    await _end(telling)
                    await up
                    raise Interrupted
                outcome = await telling
                if ended(outcome):
                    await up
                return outcome
            finally:
                await _end(telling)
                stopping()
                supervisor.stop()
                # Its failure to stop matters less than what may be on its way from above.
                await asyncio.wait({up})
                if not up.cancelled() and (error := up.exception()):
                    logger.warning("Athanor did not end well: %s", error)

    async def _tell(self, ready: asyncio.Event) -> Outcome:
        while not ready.is_set():
            self.start.tick()
            await asyncio.sleep(_START_LOOK_EVERY)
        self.start.done()
        key = await self._key()
        ending = await Story(self.place, self.recipe, self.screen, key=key).tell()
        runs = await self._runs_when_ended()
        return await self._outcome(ending, runs)

    async def _key(self) -> str:
        """Return a key for the agent and the model, made as `athanor keys add` makes it."""
        database = Database(self.place.settings.resolved_database_url)
        try:
            _, key = await database.write(
                machines.add_key, "demo", Role.OPERATOR, created_by="demo", now=utcnow()
            )
        finally:
            database.close()
        return key

    async def _runs_when_ended(self) -> dict[str, dict[str, int]]:
        """Return all flow runs once none is going on, or after some seconds as they are."""
        deadline = time.monotonic() + _RUNS_END_IN
        while True:
            runs = await figures.flow_runs()
            states = sum((Counter(by_state) for by_state in runs.values()), Counter[str]())
            going = sum(states[state] for state in _GOING)
            self.screen.step("Flow runs ended", states.total() - going, states.total())
            if not going or time.monotonic() > deadline:
                return runs
            await asyncio.sleep(_LOOK_EVERY)

    async def _outcome(self, ending: Ending, runs: dict[str, dict[str, int]]) -> Outcome:
        place = self.place
        grid = self.recipe.grow()
        database = Database(place.settings.resolved_database_url)
        try:
            # Looked at anew: a run that was going on when the session closed may have told more.
            progress = await database.read(figures.look, ending.grid_uuid) or ending.progress
            stored = await database.read(figures.stored, ending.grid_uuid)
            latencies = await database.read(figures.latencies, ending.grid_uuid)
        finally:
            database.close()
        async with AthenaClient(place.settings.athena.url) as client:
            athena = await figures.ask_athena(client, f"Grid_{grid.name}")
        wrong = mismatches(grid, replace(ending, progress=progress), stored, athena, runs)
        return Outcome(
            ok=not wrong,
            mismatches=wrong,
            grid_uuid=ending.grid_uuid,
            truth={
                "tiles": len(grid.tiles),
                "squares": len(grid.squares),
                "holes": sum(1 for _ in grid.holes),
            },
            entities=progress.summary.entities,
            athena=AthenaFigures(
                areas={kind: len(ids) for kind, ids in athena.areas.items()},
                decisions=athena.by_type(),
                values=athena.values,
            ),
            latency_seconds=progress.latency,
            latency_by_type=latencies,
            micrographs_collected=len(ending.acquisition.micrographs),
            squares_skipped=len(ending.acquisition.skipped),
            worth=await asyncio.to_thread(_worth, grid, ending, self.recipe.seed),
            inbox=progress.inbox,
            outbox=progress.outbox,
            flow_runs=runs,
            memory_resident_bytes=figures.resident_bytes(),
            seconds=round(time.monotonic() - self.began, 3),
            addresses={
                "Prefect's pages": ui_url(),
                "Athanor's API": f"{place.api_url}/docs",
                "files": str(place.microscope),
            },
            folder=str(place.folder) if wrong else None,
        )


def _worth(grid: GridTruth, ending: Ending, seed: int) -> Worth:
    """Return what deciding was worth in this session, and what orders are in a longer one."""
    told = session_worth(grid, ending.acquisition.micrographs)
    order = order_worth(seed)
    return Worth(
        **asdict(told),
        order_hours=order.minutes / 60,
        order_epu=order.epu,
        order_classic=order.classic,
        order_adaptive=order.adaptive,
    )


async def _end(task: asyncio.Task[Outcome]) -> None:
    """End a task; what it raised is somebody else's news."""
    task.cancel()
    await asyncio.wait({task})
