"""A refresh decides a grid anew, once for all who ask, and changes nothing when nothing changed."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlmodel import Session, col

from models.cryoem.decision_tables import Decision
from models.cryoem.decisions import ORDER
from models.cryoem.intake import PREDICTIONS, SCORES
from models.outbox import OutboxMessage
from tests.database_fixtures import statements
from tests.integration.models.factories import hole_body, square_body
from tests.integration.tasks.message_rig import Plot, Rig


def refresh(plot: Plot, **values: Any) -> dict[str, Any]:
    return {"event_type": "refresh.predictions", "grid_uuid": str(plot.grid), **values}


def decided(rig: Rig) -> dict[UUID, tuple[Any, ...]]:
    return {
        row.id: (row.area_uuid, row.decision_type, row.outcome, row.made_at)
        for row in rig.all(select(Decision).where(col(Decision.decision_type) != ORDER))
    }


def predictions(plot: Plot) -> list[dict[str, Any]]:
    holes = [*plot.hole_ids(1), *plot.hole_ids(2)]
    return [
        *(hole_body(plot.hole_uuid(hole), hole / 100) for hole in holes),
        square_body(plot.square_uuid(1), 0.8),
    ]


def _forget(session: Session) -> None:
    session.execute(delete(OutboxMessage))
    session.execute(delete(Decision))


async def test_refresh_changes_nothing_when_nothing_changed(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(*predictions(plot))
    before = decided(rig)
    assert len(before) == 3

    await rig.tell(refresh(plot), refresh(plot, group="anything"))

    assert decided(rig) == before
    assert set(rig.states()) == {"done"}


async def test_refresh_makes_the_decisions_that_the_predictions_in_force_lead_to(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(*predictions(plot))
    before = decided(rig)
    await rig.database.write(_forget)

    await rig.tell(refresh(plot))

    after = decided(rig)
    assert set(after) == set(before)
    assert {one[:3] == before[ident][:3] for ident, one in after.items()} == {True}
    assert {row.state for row in rig.all(select(OutboxMessage))} == {"pending"}


async def test_many_who_ask_at_once_are_served_by_one_pass(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(*predictions(plot))
    await rig.take(*(refresh(plot) for _ in range(50)))

    with statements(rig.database) as run:
        await rig.work()

    assert set(rig.states()) == {"done"}
    looked = [one for one in run if "FROM current_prediction" in one and "DISTINCT" in one]
    assert len(looked) == 1


async def test_what_was_deleted_since_is_decided_anew(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(*predictions(plot))
    gone = {"event_type": "foilhole.deleted", "uuid": str(plot.hole_uuid(11))}
    await rig.tell(gone)
    before = decided(rig)

    await rig.tell(refresh(plot))

    (new,) = [
        row
        for row in rig.all(select(Decision).where(col(Decision.decision_type) != ORDER))
        if row.id not in before
    ]
    assert set(new.outcome) == {str(plot.hole_uuid(hole)) for hole in (12, 13)}
    subject = f"foilHoleSelection/{plot.square_uuid(1)}"
    rows = rig.all(select(OutboxMessage).where(col(OutboxMessage.subject) == subject))
    assert {row.id: row.state for row in rows}[new.id] == "pending"
    assert sorted(row.state for row in rows) == ["pending", "superseded"]


async def test_refresh_of_an_unknown_grid_waits_for_it(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(refresh(plot))
    assert rig.states() == ["waiting"]

    await rig.tell(plot.session())

    assert rig.states() == ["done", "done"]


async def test_square_whose_predictions_still_come_in_is_left_alone(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.take(hole_body(plot.hole_uuid(11), 0.9), refresh(plot))
    await rig.drain(PREDICTIONS, plot.grid, idle=False)
    await rig.drain(SCORES, plot.grid)

    assert decided(rig) == {}
