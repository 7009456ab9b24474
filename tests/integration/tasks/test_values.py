"""Athena is told the motion and CTF of each hole, once, in bulk."""

import json
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from core.clock import utcnow
from core.errors import AthenaOutcomeUnknown
from core.settings import AthenaSettings
from domains.cryoem import ids
from models.athena import NameValueRecord
from models.base import DeliveryState
from models.cryoem.decision_tables import AthenaArea
from models.cryoem.messages import CtfEstimated, Measurement, MotionCorrected, ParticlesPicked
from models.cryoem.queries.status import get_status
from models.cryoem.values import SUBMIT_VALUES, id_in
from models.database import Database
from models.outbox import OutboxMessage
from tasks.cryoem.entities import drain_entities
from tasks.cryoem.measurements import drain_measurements
from tasks.cryoem.sessions import open_session
from tasks.cryoem.values import drain_values
from tasks.resending import resend
from tests.session_fixtures import Here, SmallSession, surroundings
from tests.session_fixtures import test_settings as short_patience


def micrograph(session: SmallSession, hole: int) -> dict[str, object]:
    """Return what names the micrograph of a hole in a message."""
    stem = f"FoilHole_{hole}_Data_1_2_20260301_101010"
    return {"micrograph_uuid": ids.micrograph_uuid(session.grid, stem)}


def motion(session: SmallSession, hole: int, total: float) -> Measurement:
    return MotionCorrected.model_validate(
        {**micrograph(session, hole), "total_motion": total, "average_motion": 0.1}
    )


async def photographed(here: Here, session: SmallSession, *, at_athena: bool = True) -> None:
    images = [session.micrograph(n, hole) for n in session.squares for hole in session.holes[n]]
    await here.send(*session.all(), *images)
    await drain_entities.fn(session.grid)
    if at_athena:
        await open_session.fn(session.grid)
        await drain_entities.fn(session.grid)


async def measure(here: Here, session: SmallSession, *messages: Measurement) -> None:
    await here.send(*messages)
    await drain_measurements.fn(session.grid)


async def at_athena(here: Here, grid: UUID) -> list[NameValueRecord]:
    return list(await here.client.find_values(grid))


def states(here: Here) -> list[str]:
    with here.resources.database.reading() as db:
        statement = select(col(OutboxMessage.state)).where(col(OutboxMessage.flow) == SUBMIT_VALUES)
        return list(db.scalars(statement))


async def test_motion_and_ctf_become_named_values_of_the_hole(here: Here) -> None:
    session = SmallSession(squares=1, holes=2)
    await photographed(here, session)
    ctf = CtfEstimated.model_validate(
        {**micrograph(session, 102), "ctf_max_resolution_estimate": 3.5}
    )
    picked = ParticlesPicked.model_validate(
        {**micrograph(session, 102), "number_of_particles_picked": 4}
    )
    await measure(here, session, motion(session, 101, 7.5), ctf, picked)
    assert here.launched.count((SUBMIT_VALUES, str(session.grid))) == 1
    drained = await drain_values.fn(session.grid)

    told = await at_athena(here, session.grid)
    assert drained.messages == 2
    assert {(one.area_id, one.name, one.set_by) for one in told} == {
        (101, "motioncorrection", "athanor"),
        (102, "ctf", "athanor"),
    }
    values = {one.name: json.loads(one.value or "") for one in told}
    assert (values["motioncorrection"]["value"], values["motioncorrection"]["quality"]) == (7.5, 1)
    assert values["ctf"]["micrograph"] == str(micrograph(session, 102)["micrograph_uuid"])


async def test_values_leave_in_one_request_and_only_once(here: Here) -> None:
    session = SmallSession(squares=1, holes=6)
    await photographed(here, session)
    await measure(here, session, *(motion(session, hole, hole) for hole in session.holes[1]))
    before = here.simulator.injector.stats.requests
    await drain_values.fn(session.grid)
    await drain_values.fn(session.grid)

    assert here.simulator.injector.stats.requests == before + 1
    assert len(await at_athena(here, session.grid)) == 6


async def test_a_lost_answer_never_doubles_a_value(here: Here) -> None:
    session = SmallSession(squares=1, holes=3)
    await photographed(here, session)
    await measure(here, session, *(motion(session, hole, hole) for hole in session.holes[1]))
    here.set_faults(drop_after_commit=1)
    with pytest.raises(AthenaOutcomeUnknown):
        await drain_values.fn(session.grid)
    here.set_faults()
    await measure(here, session, motion(session, 101, 5))
    await drain_values.fn(session.grid)

    idents = [id_in(one.value) for one in await at_athena(here, session.grid)]
    assert len(set(idents)) == len(idents) == 4
    assert states(here) == [DeliveryState.DONE] * 4


async def test_one_refused_value_is_kept_and_shown_and_leaves_once_it_is_put_right(
    here: Here,
) -> None:
    session = SmallSession(squares=1, holes=5)
    await photographed(here, session)
    await measure(here, session, *(motion(session, hole, hole) for hole in session.holes[1]))
    database = here.resources.database
    with database.transaction() as db:
        # Athena takes no area of a number below 1.
        area = col(AthenaArea.area_uuid) == ids.hole_uuid(session.grid, 103)
        db.execute(update(AthenaArea).where(area).values(area_id=-1))
    drained = await drain_values.fn(session.grid)

    assert (drained.messages, drained.dead) == (4, 1)
    assert {one.area_id for one in await at_athena(here, session.grid)} == {101, 102, 104, 105}
    with database.reading() as db:
        dead = col(OutboxMessage.state) == DeliveryState.DEAD
        row = db.scalars(select(OutboxMessage).where(dead)).one()
        shown = get_status(db, version="1", now=utcnow()).outbox.by_state
    assert row.payload["hole"] == str(ids.hole_uuid(session.grid, 103))
    assert "Illegal area id" in str(row.error)
    assert shown[DeliveryState.DEAD] == 1

    with database.transaction() as db:
        db.execute(update(AthenaArea).where(area).values(area_id=103))
    here.launched.clear()
    (resent,) = await resend(here.resources, [row.id])
    assert (resent.id, resent.state, resent.reason) == (row.id, DeliveryState.PENDING, None)
    assert here.launched == [(SUBMIT_VALUES, str(session.grid))]
    # It is asked about before it is sent, as all that was tried before.
    assert (await drain_values.fn(session.grid)).messages == 1
    assert {one.area_id for one in await at_athena(here, session.grid)} == {*session.holes[1]}
    assert states(here) == [DeliveryState.DONE] * 5


async def test_values_wait_for_their_session_at_athena(here: Here) -> None:
    session = SmallSession(squares=1, holes=1)
    await photographed(here, session, at_athena=False)
    await measure(here, session, motion(session, 101, 5))
    assert (SUBMIT_VALUES, str(session.grid)) not in here.launched
    assert (await drain_values.fn(session.grid)).messages == 0

    await open_session.fn(session.grid)
    # Its hole is no area yet: the value is put off, not lost, and not taken for tried.
    assert (await drain_values.fn(session.grid)).messages == 0
    assert states(here) == [DeliveryState.PENDING]


async def test_values_that_waited_for_their_areas_leave_once_these_are_registered(
    here: Here,
) -> None:
    session = SmallSession(squares=1, holes=1)
    await photographed(here, session, at_athena=False)
    await measure(here, session, motion(session, 101, 5))
    await open_session.fn(session.grid)
    await drain_values.fn(session.grid)
    await drain_entities.fn(session.grid)

    assert here.launched.count((SUBMIT_VALUES, str(session.grid))) == 1
    assert (await drain_values.fn(session.grid)).messages == 1


async def test_nobody_is_launched_for_values_that_there_are_not(here: Here) -> None:
    session = SmallSession(squares=1, holes=1)
    await photographed(here, session)

    assert (SUBMIT_VALUES, str(session.grid)) not in here.launched


async def test_who_does_not_want_values_at_athena_has_none(database: Database) -> None:
    session = SmallSession(squares=1, holes=1)
    quiet = short_patience(athena=AthenaSettings(measured_values=False))
    async with surroundings(database, quiet) as here:
        await photographed(here, session)
        await measure(here, session, motion(session, 101, 5))
        assert states(here) == []


@pytest.mark.parametrize("value", [None, "", "7.5", "[1]", '{"id": 3}', '{"id": "x"}', "{"])
def test_values_of_others_are_not_taken_for_ours(value: str | None) -> None:
    assert id_in(value) is None
