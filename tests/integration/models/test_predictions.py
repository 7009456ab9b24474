"""The history of predictions is whole, and the latest to come in is the one in force."""

import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem import ids
from models import inbox
from models.base import DeliveryState
from models.cryoem import predictions
from models.cryoem.decision_tables import CurrentPrediction, Prediction, PredictionModel
from models.cryoem.entities import apply_epu
from models.cryoem.messages import parse
from models.cryoem.predictions import Recorded
from models.database import Database
from models.inbox import InboxMessage, Received
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
    take,
)
from tests.support import PATIENCE


def _record(database: Database, *bodies: dict[str, Any]) -> Recorded:
    with database.transaction() as session:
        return predictions.record(session, arrive(session, *bodies))


def _history(database: Database, target: UUID) -> list[float]:
    with database.reading() as session:
        return list(
            session.scalars(
                select(col(Prediction.value))
                .where(col(Prediction.target_uuid) == target)
                .order_by(col(Prediction.message_seq))
            )
        )


def _current(database: Database) -> dict[tuple[UUID, str, str], float]:
    with database.reading() as session:
        rows = session.scalars(select(CurrentPrediction))
        return {(row.target_uuid, row.model_name, row.metric_name): row.value for row in rows}


@pytest.fixture
def site(database: Database) -> Site:
    return plant(database, [[11, 12, 13], [21, 22]])


def test_prediction_is_kept_with_where_it_came_from(database: Database, site: Site) -> None:
    with database.transaction() as session:
        ((message, body),) = arrive(session, hole_body(site.holes[0], 0.7), now=after(3))
        recorded = predictions.record(session, [(message, body)])

    with database.reading() as session:
        row = session.execute(select(Prediction)).scalar_one()
    assert (row.target_uuid, row.grid_uuid, row.value) == (site.holes[0], site.grid, 0.7)
    assert (row.level, row.model_name, row.metric_name) == ("foilhole", "model", None)
    assert (row.message_uuid, row.message_seq, row.predicted_at) == (
        message.id,
        message.seq,
        after(3),
    )
    assert (recorded.done, recorded.waiting, recorded.values) == ([message], [], 1)
    assert (recorded.squares, recorded.squares_of_holes) == (set(), {site.squares[0]})


def test_later_message_is_in_force_and_the_history_keeps_both(
    database: Database, site: Site
) -> None:
    hole = site.holes[0]
    _record(database, hole_body(hole, 0.1))
    _record(database, hole_body(hole, 0.2), hole_body(hole, 0.3))

    assert _history(database, hole) == [0.1, 0.2, 0.3]
    assert _current(database) == {(hole, "model", ""): 0.3}


def test_models_and_metrics_do_not_replace_one_another(database: Database, site: Site) -> None:
    hole = site.holes[0]
    _record(
        database,
        hole_body(hole, 0.1),
        hole_body(hole, 0.2, "other"),
        hole_body(hole, 0.3, metric="ctfmaxresolution"),
    )

    assert _current(database) == {
        (hole, "model", ""): 0.1,
        (hole, "other", ""): 0.2,
        (hole, "model", "ctfmaxresolution"): 0.3,
    }


def test_square_prediction_concerns_its_square(database: Database, site: Site) -> None:
    recorded = _record(database, square_body(site.squares[1], 0.4))

    assert recorded.squares == {site.squares[1]}
    assert recorded.squares_of_holes == set()


def test_one_value_for_many_holes_is_one_prediction_each(database: Database, site: Site) -> None:
    recorded = _record(database, multi_body(site.holes, 0.6))

    assert recorded.values == len(site.holes)
    assert set(_current(database).values()) == {0.6}
    assert recorded.squares_of_holes == set(site.squares)


def test_prediction_may_name_its_target_by_epu_id(database: Database, site: Site) -> None:
    named = {"foilhole_uuid": None, "grid_uuid": str(site.grid), "foilhole_id": 12}
    _record(database, hole_body(uuid4(), 0.5, **named))

    assert _current(database) == {(site.holes[1], "model", ""): 0.5}


def test_redelivered_message_changes_nothing(database: Database, site: Site) -> None:
    with database.transaction() as session:
        items = arrive(session, hole_body(site.holes[0], 0.1), multi_body(site.holes, 0.2))
        predictions.record(session, items)
    before = (_current(database), _history(database, site.holes[0]))

    with database.transaction() as session:
        again = predictions.record(session, items)

    assert (_current(database), _history(database, site.holes[0])) == before
    assert len(again.done) == 2


def test_model_is_known_from_its_first_prediction(database: Database, site: Site) -> None:
    _record(database, hole_body(site.holes[0], 0.1, "a"), square_body(site.squares[0], 0.1, "b"))
    _record(database, hole_body(site.holes[0], 0.2, "a"))

    with database.reading() as session:
        models = session.scalars(select(PredictionModel)).all()
    assert {(model.name, model.level) for model in models} == {
        ("a", "foilhole"),
        ("b", "gridsquare"),
    }


@pytest.mark.parametrize("what", ["hole", "square", "metric", "one-of-many"])
def test_prediction_of_something_unknown_waits_and_its_neighbours_do_not(
    database: Database, site: Site, what: str
) -> None:
    unknown = uuid4()
    body, expected = {
        "hole": (hole_body(unknown, 0.1), ("hole", str(unknown))),
        "square": (square_body(unknown, 0.1), ("square", str(unknown))),
        "metric": (hole_body(site.holes[0], 0.1, metric="beauty"), ("metric", "beauty")),
        "one-of-many": (multi_body([*site.holes, unknown], 0.1), ("hole", str(unknown))),
    }[what]

    recorded = _record(database, body, hole_body(site.holes[0], 0.9))

    (missing,) = recorded.waiting
    assert (missing.what, missing.ident) == expected
    assert len(recorded.done) == 1
    assert _current(database) == {(site.holes[0], "model", ""): 0.9}


def test_value_that_waited_does_not_replace_one_that_came_after_it(
    database: Database, site: Site
) -> None:
    late = ids.hole_uuid(site.grid, 99)
    with database.transaction() as session:
        early = arrive(session, hole_body(late, 0.1))
        assert len(predictions.record(session, early).waiting) == 1
    apply(database, square_message(site.grid, 1, (99,)))
    _record(database, hole_body(late, 0.9))

    with database.transaction() as session:
        recorded = predictions.record(session, early)

    assert recorded.waiting == []
    assert _history(database, late) == [0.1, 0.9]
    assert _current(database) == {(late, "model", ""): 0.9}


def test_order_within_a_batch_is_the_order_of_arrival(database: Database, site: Site) -> None:
    hole = site.holes[0]
    with database.transaction() as session:
        first, second = arrive(session, hole_body(hole, 0.1), hole_body(hole, 0.2))
        predictions.record(session, [second, first])

    assert _current(database) == {(hole, "model", ""): 0.2}


def test_prediction_is_woken_though_its_hole_appears_while_it_lies_down(
    database: Database, site: Site
) -> None:
    """The two transactions overlap: neither sees what the other has not committed."""
    hole = ids.hole_uuid(site.grid, 99)
    with database.transaction() as session:
        inbox.store(session, [_prediction_of(hole, site)], now=NOON)
    looked, applied = threading.Event(), threading.Event()

    def appear() -> None:
        looked.wait(timeout=PATIENCE)
        with database.transaction() as session:
            apply_epu(session, [square_message(site.grid, 1, (99,))], now=NOON)
            inbox.wake(session, [str(hole)], key=str(site.grid), now=NOON)
        applied.set()

    thread = threading.Thread(target=appear)
    thread.start()
    with database.transaction() as session:
        rows = _take(session, site)
        # What a run saw before it knew that it would have to wait.
        assert session.execute(select(Prediction)).first() is None
        looked.set()
        # SQLite lets the other in only when we are done; PostgreSQL does so at once.
        applied.wait(timeout=0.3)
        recorded = predictions.record(session, [(row, parse(row.payload)) for row in rows])  # type: ignore[misc]
        inbox.finish(session, recorded.done, now=NOON, flow_run_id=None)
        inbox.let_wait(session, recorded.waiting)
    thread.join(timeout=PATIENCE)

    with database.reading() as session:
        state = session.execute(select(col(InboxMessage.state))).scalar_one()
    assert state in {DeliveryState.DONE, DeliveryState.PENDING}


def test_message_that_lies_down_holds_up_whoever_would_wake_it(
    database: Database, site: Site
) -> None:
    """The hole is stored after the second look: the waker must wait for us, then find us."""
    hole = ids.hole_uuid(site.grid, 99)
    with database.transaction() as session:
        inbox.store(session, [_prediction_of(hole, site)], now=NOON)
    flows: list[set[str]] = []

    def appear() -> None:
        with database.transaction() as session:
            apply_epu(session, [square_message(site.grid, 1, (99,))], now=NOON)
            flows.append(inbox.wake(session, [str(hole)], key=str(site.grid), now=NOON))

    thread = threading.Thread(target=appear)
    with database.transaction() as session:
        rows = _take(session, site)
        recorded = predictions.record(session, [(row, parse(row.payload)) for row in rows])  # type: ignore[misc]
        assert len(recorded.waiting) == 1
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()
        inbox.let_wait(session, recorded.waiting)
    thread.join(timeout=PATIENCE)

    assert flows == [{"ingest-predictions"}]


def _prediction_of(hole: UUID, site: Site) -> inbox.NewMessage:
    return inbox.NewMessage(
        source="test",
        domain="cryoem",
        kind="foilhole.model_prediction",
        flow="ingest-predictions",
        key=str(site.grid),
        payload=hole_body(hole, 0.5),
    )


def _take(session: Session, site: Site) -> list[Received]:
    return take(session, flow="ingest-predictions", key=str(site.grid))
