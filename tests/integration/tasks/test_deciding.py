"""Who is rung for decisions: the flow that sends them, once Athena knows their grid."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from core.clock import utcnow
from models import drain
from models.cryoem import athena
from models.cryoem.decision_tables import AthenaSession, Decision
from models.cryoem.decisions import ORDER, SUBMIT
from models.cryoem.intake import PREDICTIONS
from models.outbox import OutboxMessage
from tasks.cryoem.scores import refresh_grid
from tests.integration.models.factories import hole_body
from tests.integration.tasks.message_rig import Plot, Rig
from tests.session_fixtures import RecordingLauncher

Way = Callable[[Rig, Plot], Awaitable[None]]


async def _with_the_batch(rig: Rig, plot: Plot) -> None:
    await rig.take(*(hole_body(plot.hole_uuid(hole), 0.9) for hole in plot.hole_ids(1)))
    await rig.drain(PREDICTIONS, plot.grid, idle=False)


async def _when_overdue(rig: Rig, plot: Plot) -> None:
    # One hole has no prediction, so that the square waits for it first.
    await rig.take(*(hole_body(plot.hole_uuid(hole), 0.9) for hole in plot.hole_ids(1)[1:]))
    await rig.drain(PREDICTIONS, plot.grid)


async def _forget_decisions(rig: Rig, plot: Plot) -> None:
    def forget(session: Session) -> None:
        session.execute(delete(OutboxMessage))
        session.execute(delete(Decision))
        drain.unring(session, flow=SUBMIT, key=str(plot.grid))

    await _with_the_batch(rig, plot)
    await rig.database.write(forget)
    _launched(rig).clear()


async def _when_asked(rig: Rig, plot: Plot) -> None:
    await _forget_decisions(rig, plot)
    await rig.tell({"event_type": "refresh.predictions", "grid_uuid": str(plot.grid)})


async def _unasked(rig: Rig, plot: Plot) -> None:
    await _forget_decisions(rig, plot)
    await refresh_grid(rig.resources, plot.grid, flow_run_id=None)


WAYS = pytest.mark.parametrize(
    "decide",
    [_with_the_batch, _when_overdue, _when_asked, _unasked],
    ids=["batch", "overdue", "refresh", "unasked refresh"],
)


def _launched(rig: Rig) -> list[tuple[str, str]]:
    launcher = rig.resources.launcher
    assert isinstance(launcher, RecordingLauncher)
    return launcher.launched


def _rung(rig: Rig) -> list[Any]:
    selections = select(func.count()).where(col(Decision.decision_type) != ORDER)
    assert rig.all(selections) == [1]
    return [key for flow, key in _launched(rig) if flow == SUBMIT]


@WAYS
async def test_decisions_for_a_grid_that_athena_does_not_know_ring_nobody(
    rig: Rig, decide: Way
) -> None:
    plot = Plot(squares=1)
    await rig.tell(*plot.files())

    await decide(rig, plot)

    assert _rung(rig) == []


@WAYS
async def test_decisions_for_a_grid_that_athena_knows_ring_for_whoever_sends_them(
    rig: Rig, decide: Way
) -> None:
    plot = Plot(squares=1)
    await rig.tell(*plot.files())
    row = AthenaSession(
        grid_uuid=plot.grid,
        session_id=plot.grid,
        session_name="Grid_1",
        grid_type="HoleyCarbon",
        adopted=False,
        registered_at=utcnow(),
    )
    await rig.database.write(athena.save_session, row)

    await decide(rig, plot)

    assert _rung(rig) == [str(plot.grid)]
