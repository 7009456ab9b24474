"""Predictions in force become decisions, each once, on their way to Athena."""

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem import ids
from domains.cryoem.policy import Policy, Selection
from models import work
from models.base import DeliveryState
from models.cryoem import athena, decisions, predictions
from models.cryoem.decision_tables import Decision, Prediction
from models.database import Database
from models.outbox import OutboxMessage
from tests.integration.models.factories import (
    NOON,
    Site,
    after,
    apply,
    arrive,
    hole_body,
    multi_body,
    plant,
    square_body,
    square_message,
)

SETTLE = 2.0


def _take_in(
    session: Session, site: Site, *bodies: dict[str, Any], now: float = 0
) -> list[Selection]:
    recorded = predictions.record(session, arrive(session, *bodies, now=after(now)))
    assert recorded.waiting == []
    return decisions.decide(
        session,
        site.grid,
        squares=recorded.squares,
        squares_of_holes=recorded.squares_of_holes,
        policy=Policy(),
        settle_seconds=SETTLE,
        now=after(now),
        flow_run_id="run",
    )


def _predict(
    database: Database, site: Site, *bodies: dict[str, Any], now: float = 0
) -> list[Selection]:
    with database.transaction() as session:
        return _take_in(session, site, *bodies, now=now)


def _look_after(database: Database, site: Site, now: float) -> list[Selection]:
    return _predict(database, site, now=now)


def _outbox(database: Database) -> list[OutboxMessage]:
    with database.reading() as session:
        return list(session.scalars(select(OutboxMessage).order_by(col(OutboxMessage.seq))))


def _states(database: Database) -> dict[UUID, str]:
    return {row.id: row.state for row in _outbox(database)}


def _undecided(database: Database, site: Site) -> bool:
    with database.reading() as session:
        return decisions.has_undecided(session, site.grid)


@pytest.fixture
def site(database: Database) -> Site:
    return plant(database, [[11, 12, 13]], bars={13})


@pytest.mark.parametrize(
    ("value", "selected"),
    # The threshold itself does not select.
    [(0.51, True), (0.5, False), (0.0, False), (1.0, True)],
)
def test_square_is_decided_by_its_prediction(
    database: Database, site: Site, value: float, selected: bool
) -> None:
    (made,) = _predict(database, site, square_body(site.squares[0], value))

    with database.reading() as session:
        (row,) = session.scalars(select(Decision)).all()
    assert row.id == made.id
    assert (row.decision_type, row.level) == ("gridSquareSelection", "gridsquare")
    assert row.outcome == {str(site.squares[0]): selected}
    assert (row.plugin_type, row.decided_by) == ("custom", "smartem_ml_model")
    assert row.details == f"model: {value:.6g} (threshold 0.5)"
    assert (row.made_at, row.flow_run_id) == (NOON, "run")


def test_decision_is_put_in_the_outbox_with_its_cause(database: Database, site: Site) -> None:
    (made,) = _predict(database, site, square_body(site.squares[0], 0.9), now=7)

    (row,) = _outbox(database)
    assert (row.id, row.kind, row.flow) == (made.id, "athena.decision", "submit-decisions")
    assert row.key == str(site.grid)
    assert row.payload == {"decision_id": str(made.id)}
    assert (row.caused_at, row.created_at) == (after(7), after(7))


def test_decision_can_be_traced_to_its_predictions(database: Database, site: Site) -> None:
    _predict(database, site, multi_body(site.holes, 0.9))

    with database.reading() as session:
        basis = session.execute(select(col(Decision.basis))).scalar_one()
        found = session.execute(
            select(col(Prediction.target_uuid), col(Prediction.message_seq))
        ).all()
    assert basis == {str(target): seq for target, seq in found}
    assert set(basis) == {str(hole) for hole in site.holes}


def test_holes_are_decided_together_as_soon_as_all_are_predicted(
    database: Database, site: Site
) -> None:
    good, bad, _at_bar = site.holes
    assert _predict(database, site, hole_body(good, 0.9)) == []
    assert _undecided(database, site)

    # The third, near a grid bar, may not be collected and need not be predicted.
    (made,) = _predict(database, site, hole_body(bad, 0.1), now=1)

    assert (made.decision_type, made.area) == ("foilHoleSelection", site.squares[0])
    assert made.selected == {good: True, bad: False}
    assert not _undecided(database, site)


def test_hole_near_a_grid_bar_is_never_selected(database: Database, site: Site) -> None:
    (made,) = _predict(database, site, multi_body(site.holes, 1.0))

    assert made.selected == dict(zip(site.holes, [True, True, False], strict=True))


def test_partly_predicted_square_is_decided_after_silence(database: Database, site: Site) -> None:
    assert _predict(database, site, hole_body(site.holes[0], 0.9)) == []

    assert _look_after(database, site, SETTLE - 0.1) == []
    (made,) = _look_after(database, site, SETTLE)

    assert made.selected == {site.holes[0]: True}
    assert not _undecided(database, site)
    assert _look_after(database, site, SETTLE + 1) == []


def test_each_new_prediction_begins_the_silence_anew(database: Database) -> None:
    site = plant(database, [[11, 12, 13]])
    _predict(database, site, hole_body(site.holes[0], 0.9))
    _predict(database, site, hole_body(site.holes[1], 0.9), now=1.5)

    assert _look_after(database, site, 2.5) == []
    assert len(_look_after(database, site, 3.5)) == 1


def test_silence_of_other_grids_is_not_looked_after(database: Database, site: Site) -> None:
    other = plant(database)
    _predict(database, other, hole_body(other.holes[0], 0.9))

    assert _look_after(database, site, 100) == []
    with database.reading() as session:
        assert decisions.grids_with_undecided(session, after(1)) == {other.grid}
        assert decisions.grids_with_undecided(session, NOON) == set()


def test_newer_prediction_supersedes_an_unsent_decision(database: Database, site: Site) -> None:
    (old,) = _predict(database, site, square_body(site.squares[0], 0.9))
    (holes,) = _predict(database, site, multi_body(site.holes, 0.9))
    (new,) = _predict(database, site, square_body(site.squares[0], 0.1), now=1)

    assert _states(database) == {
        old.id: DeliveryState.SUPERSEDED,
        holes.id: DeliveryState.PENDING,
        new.id: DeliveryState.PENDING,
    }


def test_decision_that_may_be_on_its_way_is_not_superseded(database: Database, site: Site) -> None:
    (old,) = _predict(database, site, square_body(site.squares[0], 0.9))
    with database.transaction() as session:
        work.claim(
            session,
            OutboxMessage,
            holder="run",
            now=NOON,
            lease_seconds=30,
            limit=10,
            max_attempts=3,
        )
    (new,) = _predict(database, site, square_body(site.squares[0], 0.1), now=1)

    assert _states(database) == {old.id: DeliveryState.CLAIMED, new.id: DeliveryState.PENDING}


def test_same_predictions_are_the_same_decision(database: Database, site: Site) -> None:
    body = multi_body(site.holes, 0.9)
    with database.transaction() as session:
        items = arrive(session, body, square_body(site.squares[0], 0.9))
    made: list[set[UUID]] = []
    for again in range(2):
        with database.transaction() as session:
            recorded = predictions.record(session, items)
            selections = decisions.decide(
                session,
                site.grid,
                squares=recorded.squares,
                squares_of_holes=recorded.squares_of_holes,
                policy=Policy(),
                settle_seconds=SETTLE,
                now=after(again),
            )
            made.append({selection.id for selection in selections})

    assert made[0] == made[1]
    assert _states(database) == dict.fromkeys(made[0], DeliveryState.PENDING)


def test_order_of_predictions_does_not_change_the_decision(database: Database, site: Site) -> None:
    """What was decided depends on the predictions only, not on the batches they came in."""

    def decided(session: Session, *batches: list[int]) -> UUID:
        last: list[Selection] = []
        for batch in batches:
            recorded = predictions.record(session, [items[n] for n in batch])
            last = decisions.decide(
                session,
                site.grid,
                squares=(),
                squares_of_holes=recorded.squares_of_holes,
                policy=Policy(),
                settle_seconds=SETTLE,
                now=NOON,
            )
        return last[-1].id

    with database.transaction() as session:
        items = arrive(session, *(hole_body(hole, 0.9) for hole in site.holes))
    outcomes = set()
    for batches in ([[0, 1, 2]], [[2], [1], [0]], [[1, 2], [0]]):
        with database.reading() as session:
            outcomes.add(decided(session, *batches))

    assert len(outcomes) == 1


def test_score_of_several_models_decides_and_each_prediction_anew(
    database: Database, site: Site
) -> None:
    square = site.squares[0]
    (made,) = _predict(database, site, square_body(square, 0.9, "a"), square_body(square, 0.1, "b"))
    # Without weights all count the same; 0.5 does not exceed the threshold.
    assert made.selected == {square: False}
    assert made.details.startswith("a+b: 0.5 ")

    (made,) = _predict(database, site, square_body(square, 0.8, "b"), now=1)
    assert made.selected == {square: True}
    assert made.details.startswith("a+b: 0.85 ")


def test_decision_belongs_to_the_grid_of_its_area(database: Database, site: Site) -> None:
    """A message may name holes of several grids, though one run works on it."""
    other = plant(database, [[31]])

    made = _predict(database, site, multi_body([*site.holes, *other.holes], 0.9))

    assert {one.grid: one.area for one in made} == {
        site.grid: site.squares[0],
        other.grid: other.squares[0],
    }
    assert {row.key for row in _outbox(database)} == {str(site.grid), str(other.grid)}


def test_new_holes_of_a_decided_square_are_decided_with_the_others(
    database: Database, site: Site
) -> None:
    _predict(database, site, multi_body(site.holes, 0.9))
    apply(database, square_message(site.grid, 1, (11, 12, 13, 14), bars={13}, at=after(1)))
    late = ids.hole_uuid(site.grid, 14)

    (made,) = _predict(database, site, hole_body(late, 0.2), now=2)

    assert set(made.selected) == {*site.holes, late}


# To Athena ----------------------------------------------------------------------------------


def _register(database: Database, site: Site, *uuids: UUID) -> None:
    with database.transaction() as session:
        athena.allocate_areas(session, site.grid)
        athena.mark_registered(session, uuids, now=NOON)


def _sendable(database: Database, site: Site) -> list[OutboxMessage]:
    with database.reading() as session:
        return list(session.scalars(select(OutboxMessage).where(decisions.sendable(site.grid))))


def _as_sent(database: Database, site: Site) -> list[decisions.Unsent]:
    with database.reading() as session:
        return list(decisions.as_sent(session, _sendable(database, site)).values())


def test_square_decision_says_true_or_false(database: Database, site: Site) -> None:
    (made,) = _predict(database, site, square_body(site.squares[0], 0.9))
    _register(database, site, *site.squares)

    (told,) = _as_sent(database, site)

    assert (told.id, told.area_id, told.value) == (made.id, 1, "true")
    assert (told.decision_type, told.plugin_type) == ("gridSquareSelection", "custom")
    assert told.decided_by == "smartem_ml_model"


def test_hole_decision_is_a_json_list_over_the_holes(database: Database, site: Site) -> None:
    good, bad, at_bar = site.holes
    _predict(database, site, hole_body(good, 0.9), hole_body(bad, 0.1), hole_body(at_bar, 0.9))
    _register(database, site, *site.squares, *site.holes)

    (told,) = _as_sent(database, site)

    assert (told.area_id, told.decision_type) == (1, "foilHoleSelection")
    assert json.loads(told.value) == [
        {"areaId": 11, "result": "true"},
        {"areaId": 12, "result": "false"},
        {"areaId": 13, "result": "false"},
    ]


def test_decision_is_not_sendable_before_athena_knows_its_area(
    database: Database, site: Site
) -> None:
    _predict(database, site, square_body(site.squares[0], 0.9))
    assert _sendable(database, site) == []

    _register(database, site)
    assert _sendable(database, site) == []

    _register(database, site, *site.squares)
    assert len(_sendable(database, site)) == 1


def test_hole_decision_waits_until_athena_knows_its_holes(database: Database, site: Site) -> None:
    _predict(database, site, multi_body(site.holes, 0.9))
    _register(database, site, *site.squares, *site.holes[:2])
    assert _as_sent(database, site) == []

    _register(database, site, *site.holes)
    assert len(_as_sent(database, site)) == 1


def test_decisions_of_other_grids_are_not_sendable_here(database: Database, site: Site) -> None:
    other = plant(database)
    _predict(database, other, square_body(other.squares[0], 0.9))
    _register(database, other, *other.squares)

    assert _sendable(database, site) == []
    assert len(_sendable(database, other)) == 1
