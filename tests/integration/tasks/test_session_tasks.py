"""The tasks of a session, on both databases, against the simulated Athena over HTTP."""

import json
from datetime import timedelta

import pytest
from sqlmodel import col, select

from core.errors import AthenaConflict, AthenaNotFound, AthenaOutcomeUnknown, AthenaUnavailable
from domains.cryoem import ids
from models.athena import DecisionType, Session
from models.base import DeliveryState
from models.cryoem import athena
from models.cryoem.decision_tables import AthenaArea, CurrentPrediction, Decision
from models.cryoem.messages import (
    HolePrediction,
    MultiHolePrediction,
    SessionEndedMessage,
    SquarePrediction,
)
from models.cryoem.tables import Hole, Micrograph, Square
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from tasks.cryoem.areas import push_areas
from tasks.cryoem.entities import DISCOVERED, ENDED, drain_entities
from tasks.cryoem.predictions import drain_predictions
from tasks.cryoem.scores import drain_refreshes
from tasks.cryoem.sessions import close_run, open_session
from tasks.cryoem.submission import drain_decisions
from tasks.cryoem.sweeping import ring_for_silent, sweep_all
from tests.session_fixtures import START, Here, SmallSession


async def registered(here: Here, session: SmallSession) -> None:
    await here.send(*session.all())
    await drain_entities.fn(session.grid)
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)


def predict_square(session: SmallSession, square: int, value: float) -> SquarePrediction:
    return SquarePrediction(
        grid_uuid=session.grid,
        gridsquare_id=square,
        prediction_model_name="squares-net",
        prediction_value=value,
    )


def predict_hole(session: SmallSession, hole: int, value: float) -> HolePrediction:
    return HolePrediction(
        grid_uuid=session.grid,
        foilhole_id=hole,
        prediction_model_name="holes-net",
        prediction_value=value,
    )


async def athena_decisions(here: Here, session: SmallSession) -> list:
    return list(await here.client.find_decisions(session.grid))


async def test_a_session_gets_its_athena_session_run_and_areas(here: Here) -> None:
    session = SmallSession(squares=2, holes=3)
    await registered(here, session)

    found = await here.client.find_session("Grid_trial")
    assert found.session_id == session.grid
    assert found.grid_type == "HoleyGold"
    assert [run.run_number for run in await here.client.find_runs(session.grid)] == [1]
    areas = await here.client.find_areas(session.grid)
    squares = {area.id for area in areas if area.area_type == "gridsquare"}
    holes = {area.id: area.parent_id for area in areas if area.area_type == "foilhole"}
    assert squares == {1, 2}
    assert holes == {101: 1, 102: 1, 103: 1, 201: 2, 202: 2, 203: 2}
    assert here.resources.events[0] == (DISCOVERED, {"grid_uuid": str(session.grid)})


async def test_registering_again_changes_nothing_at_athena(here: Here) -> None:
    session = SmallSession()
    await registered(here, session)
    before = await here.client.find_areas(session.grid)
    await registered(here, session)
    assert await here.client.find_areas(session.grid) == before
    assert len(await here.client.find_runs(session.grid)) == 1


async def test_a_session_that_athena_has_is_adopted_with_its_run(here: Here) -> None:
    session = SmallSession()
    theirs = await here.client.create_session(Session(session_name="Grid_trial"))
    assert theirs.session_id is not None
    run = await here.client.start_run(theirs.session_id)
    await registered(here, session)
    with here.resources.database.reading() as db:
        row = athena.get_session(db, session.grid)
    assert row is not None
    assert (row.session_id, row.adopted) == (theirs.session_id, True)
    assert row.run_number == run.run_number
    assert len(await here.client.find_areas(theirs.session_id)) == 8


async def test_five_thousand_areas_take_at_most_ten_requests(here: Here) -> None:
    session = SmallSession(squares=50, holes=99)
    await here.send(*session.all())
    await drain_entities.fn(session.grid)
    await open_session.fn(session.grid)
    before = here.simulator.injector.stats.requests
    await drain_entities.fn(session.grid)
    assert here.simulator.injector.stats.requests - before <= 10
    assert len(await here.client.find_areas(session.grid)) == 50 + 50 * 99


async def test_predictions_become_decisions_at_athena(here: Here) -> None:
    session = SmallSession(squares=2, holes=2)
    await registered(here, session)
    await here.send(
        predict_square(session, 1, 0.9),
        predict_square(session, 2, 0.2),
        predict_hole(session, 101, 0.7),
        predict_hole(session, 102, 0.5),
    )
    await drain_predictions.fn(session.grid)
    drained = await drain_decisions.fn(session.grid)

    assert drained.messages == 3
    told = {(d.decision_type, d.area_id): d for d in await athena_decisions(here, session)}
    selected = told[DecisionType.GRID_SQUARE_SELECTION, 1]
    assert (selected.decision_value, selected.plugin_type) == ("true", "custom")
    assert selected.decided_by == "smartem_ml_model"
    assert "squares-net" in (selected.details or "")
    assert "0.9" in (selected.details or "")
    assert told[DecisionType.GRID_SQUARE_SELECTION, 2].decision_value == "false"
    holes = told[DecisionType.FOIL_HOLE_SELECTION, 1]
    assert json.loads(holes.decision_value or "") == [
        {"areaId": 101, "result": "true"},
        {"areaId": 102, "result": "false"},
    ]


async def test_a_square_of_which_some_holes_are_predicted_is_decided_after_silence(
    here: Here,
) -> None:
    session = SmallSession(squares=1, holes=3)
    await registered(here, session)
    await here.send(predict_hole(session, 101, 0.8))
    await drain_predictions.fn(session.grid)
    await drain_decisions.fn(session.grid)
    (decision,) = await athena_decisions(here, session)
    assert json.loads(decision.decision_value or "") == [{"areaId": 101, "result": "true"}]


async def test_predictions_before_their_holes_wait_and_are_decided_later(here: Here) -> None:
    session = SmallSession(squares=1, holes=2)
    holes = [ids.hole_uuid(session.grid, hole) for hole in session.holes[1]]
    await here.send(
        MultiHolePrediction(
            foilhole_uuids=tuple(holes), prediction_model_name="m", prediction_value=0.6
        ),
        predict_square(session, 1, 0.6),
    )
    await drain_predictions.fn(session.grid)
    with here.resources.database.reading() as db:
        assert set(db.exec(select(InboxMessage.state)).all()) == {DeliveryState.WAITING}
    await registered(here, session)
    await drain_predictions.fn(session.grid)
    await drain_decisions.fn(session.grid)
    kinds = sorted(d.decision_type for d in await athena_decisions(here, session))
    assert kinds == [DecisionType.FOIL_HOLE_SELECTION, DecisionType.GRID_SQUARE_SELECTION]


async def test_decisions_wait_for_the_session_and_its_areas(here: Here) -> None:
    session = SmallSession(squares=1, holes=1)
    await here.send(*session.all())
    await drain_entities.fn(session.grid)
    await here.send(predict_square(session, 1, 0.6))
    await drain_predictions.fn(session.grid)
    assert (await drain_decisions.fn(session.grid)).messages == 0
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)
    assert ("submit-decisions", str(session.grid)) in here.launched
    assert (await drain_decisions.fn(session.grid)).messages == 1


async def test_order_that_was_made_before_the_session_is_told_once_there_is_one(
    here: Here,
) -> None:
    session = SmallSession(squares=1, holes=1)
    await here.send(*session.all())
    await drain_entities.fn(session.grid)
    await here.send(predict_square(session, 1, 0.6))
    await drain_predictions.fn(session.grid)
    await drain_refreshes.fn(session.grid)
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)
    await drain_decisions.fn(session.grid)

    told = await athena_decisions(here, session)
    assert [one.decision_type for one in told].count(DecisionType.ACQUISITION_ORDER) == 2
    with here.resources.database.reading() as db:
        states = db.exec(select(OutboxMessage.state)).all()
    assert set(states) == {DeliveryState.DONE}


async def test_a_decision_that_waited_for_its_holes_leaves_once_they_are_registered(
    here: Here,
) -> None:
    """A microscope waits for it: it must not sit out the pause before the next look."""
    session = SmallSession(squares=1, holes=2)
    await registered(here, session)
    holes = [ids.hole_uuid(session.grid, hole) for hole in session.holes[1]]
    await here.resources.database.write(athena.mark_registered, holes, now=None)
    await here.send(*(predict_hole(session, hole, 0.6) for hole in session.holes[1]))
    await drain_predictions.fn(session.grid)
    assert (await drain_decisions.fn(session.grid)).messages == 0
    await push_areas(here.resources, session.grid)
    assert (await drain_decisions.fn(session.grid)).messages == 1


async def test_an_unavailable_athena_keeps_decisions_in_the_outbox(here: Here) -> None:
    session = SmallSession(squares=1, holes=1)
    await registered(here, session)
    await here.send(predict_square(session, 1, 0.6))
    await drain_predictions.fn(session.grid)
    here.set_faults(error_rate=1)
    with pytest.raises((AthenaUnavailable, AthenaOutcomeUnknown)):
        await drain_decisions.fn(session.grid)
    here.set_faults()
    assert (await drain_decisions.fn(session.grid)).messages == 1
    assert len(await athena_decisions(here, session)) == 1


async def test_a_lost_answer_never_doubles_a_decision(here: Here) -> None:
    session = SmallSession(squares=3, holes=4)
    await registered(here, session)
    await here.send(*(predict_square(session, square, 0.6) for square in session.squares))
    await here.send(
        *(predict_hole(session, hole, 0.6) for holes in session.holes.values() for hole in holes)
    )
    await drain_predictions.fn(session.grid)
    here.set_faults(drop_after_commit=1)
    with pytest.raises(AthenaOutcomeUnknown):
        await drain_decisions.fn(session.grid)
    here.set_faults()
    await drain_decisions.fn(session.grid)
    found = [decision.id for decision in await athena_decisions(here, session)]
    assert len(found) == len(set(found)) == 6
    with here.resources.database.reading() as db:
        states = set(db.exec(select(OutboxMessage.state)).all())
    assert states == {DeliveryState.DONE}


async def test_areas_that_athena_lost_are_registered_anew(here: Here) -> None:
    session = SmallSession(squares=2, holes=1)
    await registered(here, session)
    await here.client.delete_session(session.grid)
    await here.client.create_session(Session(session_id=session.grid, session_name="Grid_trial"))
    await here.send(predict_square(session, 1, 0.6), predict_square(session, 2, 0.6))
    await drain_predictions.fn(session.grid)
    with pytest.raises(AthenaConflict):
        await drain_decisions.fn(session.grid)
    await drain_entities.fn(session.grid)
    assert (await drain_decisions.fn(session.grid)).messages == 2


async def test_a_session_that_athena_lost_is_opened_anew_and_decided(here: Here) -> None:
    session = SmallSession(squares=2, holes=1)
    await registered(here, session)
    await here.client.delete_session(session.grid)
    await here.send(predict_square(session, 1, 0.6), predict_square(session, 2, 0.6))
    await drain_predictions.fn(session.grid)
    here.launched.clear()
    with pytest.raises(AthenaConflict):
        await drain_decisions.fn(session.grid)
    assert ("register-session", str(session.grid)) in here.launched
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)
    assert (await drain_decisions.fn(session.grid)).messages == 2
    assert len(await here.client.find_areas(session.grid)) == 4


async def test_areas_for_a_session_that_athena_lost_open_it_anew(here: Here) -> None:
    session = SmallSession(squares=1, holes=1)
    await here.send(session.session())
    await drain_entities.fn(session.grid)
    await open_session.fn(session.grid)
    await here.client.delete_session(session.grid)
    await here.send(session.square(1))
    here.launched.clear()
    with pytest.raises(AthenaNotFound):
        await drain_entities.fn(session.grid)
    assert ("register-session", str(session.grid)) in here.launched
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)
    assert len(await here.client.find_areas(session.grid)) == 2


async def test_a_newer_prediction_supersedes_an_unsent_decision(here: Here) -> None:
    session = SmallSession(squares=1, holes=1)
    await registered(here, session)
    for value in (0.9, 0.1):
        await here.send(predict_square(session, 1, value))
        await drain_predictions.fn(session.grid)
    await drain_decisions.fn(session.grid)
    (decision,) = await athena_decisions(here, session)
    assert decision.decision_value == "false"


async def test_closing_stops_the_run_once(here: Here) -> None:
    session = SmallSession()
    await registered(here, session)
    await here.send(SessionEndedMessage(grid_uuid=session.grid, reason="all squares done"))
    await drain_entities.fn(session.grid)
    assert (ENDED, {"grid_uuid": str(session.grid)}) in here.resources.events
    assert await ring_for_silent.fn() == 1
    assert await close_run.fn(session.grid) is True
    assert await close_run.fn(session.grid) is False
    (run,) = await here.client.find_runs(session.grid)
    assert run.stop_reason == "all squares done"
    assert await ring_for_silent.fn() == 0


async def test_a_session_that_goes_on_after_its_end_is_opened_again_with_another_run(
    here: Here,
) -> None:
    session = SmallSession()
    await registered(here, session)
    last = START + timedelta(minutes=30)
    await here.send(SessionEndedMessage(grid_uuid=session.grid, last_file_at=last))
    await drain_entities.fn(session.grid)
    assert await close_run.fn(session.grid) is True
    here.resources.events.clear()
    # What was written before the end is no sign of life.
    await here.send(session.square(1).model_copy(update={"message_id": "late"}))
    await drain_entities.fn(session.grid)
    assert here.resources.events == []

    await here.send(session.micrograph(1, 101))
    await drain_entities.fn(session.grid)

    assert here.resources.events == [(DISCOVERED, {"grid_uuid": str(session.grid)})]
    assert await open_session.fn(session.grid) is True
    runs = await here.client.find_runs(session.grid)
    assert [(run.run_number, run.stop_time is None) for run in runs] == [(1, False), (2, True)]
    # The first end came twice: the session goes on all the same.
    await here.send(
        SessionEndedMessage(grid_uuid=session.grid, last_file_at=last), session.micrograph(1, 102)
    )
    await drain_entities.fn(session.grid)
    assert await ring_for_silent.fn() == 0
    await here.send(
        SessionEndedMessage(grid_uuid=session.grid, last_file_at=last + timedelta(hours=9))
    )
    await drain_entities.fn(session.grid)
    assert await close_run.fn(session.grid) is True
    runs = await here.client.find_runs(session.grid)
    assert all(run.stop_time is not None for run in runs)


async def test_a_malformed_message_is_set_aside_and_its_neighbours_are_done(here: Here) -> None:
    session = SmallSession(squares=1, holes=3)
    await registered(here, session)
    await here.send(*(predict_hole(session, hole, 0.6) for hole in session.holes[1]))
    with here.resources.database.transaction() as db:
        spoiled = db.exec(select(InboxMessage).order_by(col(InboxMessage.seq).desc())).first()
        assert spoiled is not None
        spoiled.payload = {**spoiled.payload, "prediction_value": 7}
    drained = await drain_predictions.fn(session.grid)
    assert (drained.messages, drained.dead) == (3, 1)
    with here.resources.database.reading() as db:
        dead = db.exec(select(InboxMessage).where(InboxMessage.state == DeliveryState.DEAD)).one()
        assert "prediction_value" in (dead.error or "")
        assert len(db.exec(select(CurrentPrediction)).all()) == 2


async def test_the_sweep_rings_for_what_no_ring_reached(here: Here) -> None:
    session = SmallSession(squares=1, holes=1)
    await here.send(*session.all())
    here.launched.clear()
    await here.resources.database.write(_forget_rings)
    swept = await sweep_all.fn()
    assert ("register-areas", str(session.grid)) in here.launched
    await drain_entities.fn(session.grid)
    swept = await sweep_all.fn()
    assert ("register-session", str(session.grid)) in swept.bells
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)
    assert (await sweep_all.fn()).bells == ()


def _forget_rings(db) -> None:
    from models.drain import Drain  # noqa: PLC0415

    for row in db.exec(select(Drain)).all():
        db.delete(row)


async def test_a_micrograph_before_its_square_is_kept_with_its_hole(here: Here) -> None:
    session = SmallSession(squares=1, holes=1)
    await here.send(session.micrograph(1, 101))
    await drain_entities.fn(session.grid)
    await here.send(session.session())
    await drain_entities.fn(session.grid)
    await here.send(session.square(1))
    await drain_entities.fn(session.grid)
    with here.resources.database.reading() as db:
        hole = db.exec(select(Hole)).one()
        assert (hole.hole_id, hole.x) == (101, 101)
        assert db.exec(select(Micrograph)).one().defocus == -1.5e-6
        assert len(db.exec(select(Square)).all()) == 1


async def test_decisions_name_what_they_rest_on(here: Here) -> None:
    session = SmallSession(squares=1, holes=2)
    await registered(here, session)
    accepted = await here.send(*(predict_hole(session, hole, 0.6) for hole in session.holes[1]))
    await drain_predictions.fn(session.grid)
    with here.resources.database.reading() as db:
        decision = db.exec(select(Decision)).one()
        assert decision.outcome == {
            str(ids.hole_uuid(session.grid, hole)): True for hole in session.holes[1]
        }
        assert len(accepted.stored) == 2
        assert db.exec(select(AthenaArea)).first() is not None
