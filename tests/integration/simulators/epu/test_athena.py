"""The simulated microscope and the simulated Athena: asked, told, and left alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from blocks.athena import AthenaClient
from core.errors import AthenaError, NotFound
from models.athena import (
    AcquisitionState,
    Area,
    AreaType,
    DecisionRecord,
    DecisionType,
    EngineState,
    PluginType,
    Session,
)
from simulators.athena import running
from simulators.epu import events
from simulators.epu.folder import session_writer
from simulators.epu.guide import AthenaGuide
from simulators.epu.microscope import Microscope, Plan
from simulators.epu.truth import GridTruth, grow_grid
from simulators.epu.writer import WriteMode


@pytest.fixture
async def athena() -> AsyncIterator[AthenaClient]:
    async with running() as service, AthenaClient(service.url) as client:
        yield client


@pytest.fixture
def grid() -> GridTruth:
    return grow_grid(9, squares=3, holes=45)


def guide(athena: AthenaClient, grid: GridTruth, *, decision_timeout=10.0, session_timeout=10.0):
    return AthenaGuide(
        athena,
        f"Grid_{grid.name}",
        decision_timeout=decision_timeout,
        session_timeout=session_timeout,
    )


class Decider:
    """Does what Athanor does: registers the session and areas, and decides when told of them."""

    def __init__(self, athena: AthenaClient, grid: GridTruth) -> None:
        self.athena = athena
        self.grid = grid
        self.session: UUID | None = None

    async def register(self) -> UUID:
        session = await self.athena.create_session(Session(session_name=f"Grid_{self.grid.name}"))
        assert session.session_id is not None
        self.session = session.session_id
        await self.athena.put_areas(
            [
                Area(session_id=self.session, id=square.square_id, area_type=AreaType.GRID_SQUARE)
                for square in self.grid.squares
            ]
        )
        return self.session

    async def register_holes(self) -> None:
        await self.athena.put_areas(
            [
                Area(
                    session_id=self.session,
                    id=hole.hole_id,
                    area_type=AreaType.FOIL_HOLE,
                    parent_id=square.square_id,
                )
                for square in self.grid.squares
                for hole in square.holes
            ]
        )

    async def decide_square(self, square_id: int, *, selected: bool) -> None:
        await self.athena.post_decision(
            self._decision(square_id, DecisionType.GRID_SQUARE_SELECTION, str(selected).lower())
        )

    async def decide_holes(self, square_id: int, selected: dict[int, bool]) -> None:
        value = json.dumps(
            [{"areaId": hole, "result": str(yes).lower()} for hole, yes in selected.items()]
        )
        await self.athena.post_decisions(
            [self._decision(square_id, DecisionType.FOIL_HOLE_SELECTION, value)]
        )

    def _decision(self, area: int, kind: DecisionType, value: str) -> DecisionRecord:
        assert self.session is not None
        return DecisionRecord(
            session_id=self.session,
            area_id=area,
            decision_type=kind,
            plugin_type=PluginType.CUSTOM,
            decision_value=value,
        )


async def test_it_collects_what_athena_says_and_skips_what_it_deselects(athena, grid, tmp_path):
    decider = Decider(athena, grid)
    session = await decider.register()
    await decider.register_holes()
    first, second, third = grid.squares
    wanted = {hole.hole_id for hole in first.holes[::2]}
    await decider.decide_square(first.square_id, selected=True)
    await decider.decide_holes(
        first.square_id, {hole.hole_id: hole.hole_id in wanted for hole in first.holes}
    )
    await decider.decide_square(second.square_id, selected=False)
    await decider.decide_square(third.square_id, selected=True)
    await decider.decide_holes(
        third.square_id, dict.fromkeys((h.hole_id for h in third.holes), True)
    )

    writer = session_writer(tmp_path, grid, mode=WriteMode.RENAME)
    microscope = Microscope(
        grid, writer, guide(athena, grid), plan=Plan(collected_per_square=len(first.holes))
    )
    acquisition = await microscope.run()

    third_holes = [hole.hole_id for hole in third.holes][: len(first.holes)]
    assert set(acquisition.micrographs) == {*wanted, *third_holes}
    assert acquisition.skipped == (second.square_id,)
    assert acquisition.undecided == ()
    for area, state in (
        (first.square_id, AcquisitionState.COMPLETED),
        (second.square_id, AcquisitionState.SKIPPED),
        (min(wanted), AcquisitionState.COMPLETED),
    ):
        assert (await athena.latest_area_state(session, area)).state is state
    states = await athena.find_application_states(session)
    assert [state.state for state in states] == [EngineState.RUNNING, EngineState.IDLE]


async def test_it_waits_for_the_session_the_areas_and_the_decisions(athena, grid, tmp_path):
    decider = Decider(athena, grid)
    imaged: asyncio.Queue[events.SquareImaged] = asyncio.Queue()

    def hear(event: events.MicroscopeEvent) -> None:
        if isinstance(event, events.SquareImaged):
            imaged.put_nowait(event)

    async def decide() -> None:
        # Everything comes after the microscope began to ask for it.
        await decider.register()
        for _ in grid.squares:
            square = await imaged.get()
            await decider.decide_square(square.square_id, selected=True)
            await decider.register_holes()
            await decider.decide_holes(square.square_id, {square.holes[0]: True})

    writer = session_writer(tmp_path, grid, mode=WriteMode.RENAME)
    microscope = Microscope(grid, writer, guide(athena, grid), on_event=hear)
    acquisition, _ = await asyncio.gather(microscope.run(), decide())
    assert set(acquisition.micrographs) == {square.holes[0].hole_id for square in grid.squares}


async def test_without_an_answer_in_time_it_follows_its_own_order_and_says_so(
    athena, grid, tmp_path
):
    decider = Decider(athena, grid)
    await decider.register()
    told: list[events.MicroscopeEvent] = []
    writer = session_writer(tmp_path, grid, mode=WriteMode.RENAME)
    impatient = guide(athena, grid, decision_timeout=0.2)
    microscope = Microscope(grid, writer, impatient, plan=Plan(own_holes=2), on_event=told.append)
    acquisition = await microscope.run()

    assert acquisition.undecided == tuple(square.square_id for square in grid.squares)
    assert len(acquisition.micrographs) == 2 * len(grid.squares)
    decided = [event for event in told if isinstance(event, events.HolesDecided)]
    assert [event.selected for event in decided] == [None] * len(grid.squares)
    # Athena was told of holes that nobody had registered: started and completed each.
    assert impatient.unreported == 2 * len(acquisition.micrographs)


async def test_a_session_that_never_comes_is_an_error_that_names_it(athena, grid, tmp_path):
    writer = session_writer(tmp_path, grid, mode=WriteMode.RENAME)
    microscope = Microscope(grid, writer, guide(athena, grid, session_timeout=0.3))
    with pytest.raises(NotFound, match=f"Grid_{grid.name}"):
        await microscope.run()


async def test_a_selection_that_is_no_list_of_holes_is_an_error(athena, grid, tmp_path):
    decider = Decider(athena, grid)
    session = await decider.register()
    square = grid.squares[0].square_id
    await decider.decide_square(square, selected=True)
    await athena.post_decision(
        DecisionRecord(
            session_id=session,
            area_id=square,
            decision_type=DecisionType.FOIL_HOLE_SELECTION,
            decision_value="all of them",
        )
    )
    writer = session_writer(tmp_path, grid, mode=WriteMode.RENAME)
    with pytest.raises(AthenaError, match="all of them"):
        await Microscope(grid, writer, guide(athena, grid)).run()
