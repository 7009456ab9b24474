"""A batch takes a few statements, however many rows it has."""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from domains.cryoem.policy import Policy
from models import inbox
from models.cryoem import athena, decisions, predictions
from models.database import Database
from models.inbox import InboxMessage, Missing
from tests.database_fixtures import statements
from tests.integration.models.factories import (
    NOON,
    apply,
    arrive,
    epu_session,
    hole_body,
    new_message,
    plant,
    session_message,
    square_message,
    take,
)
from tests.integration.models.measured import motion, photographed, predict, record


def test_thousand_messages_are_stored_taken_and_finished_in_few_statements(
    database: Database,
) -> None:
    messages = [new_message(message_id=f"m{n}") for n in range(1_000)]

    with statements(database) as seen:
        with database.transaction() as session:
            inbox.store(session, messages, now=NOON)
        with database.transaction() as session:
            rows = take(session, limit=1_000)
            inbox.finish(session, rows, now=NOON, flow_run_id=None)

    assert len(rows) == 1_000
    assert len(seen) <= 10


def test_thousand_predictions_of_six_hundred_holes_are_decided_in_few_statements(
    database: Database,
) -> None:
    site = plant(database, [range(100, 400), range(400, 700)])
    with database.transaction() as session:
        # Twice for most holes: the later is in force.
        bodies = [hole_body(site.holes[n % 600], 0.9) for n in range(1_000)]
        items = arrive(session, *bodies)

    with statements(database) as seen, database.transaction() as session:
        recorded = predictions.record(session, items)
        made = decisions.decide(
            session,
            site.grid,
            squares=recorded.squares,
            squares_of_holes=recorded.squares_of_holes,
            policy=Policy(),
            settle_seconds=0,
            now=NOON,
        )

    assert (recorded.values, len(made)) == (1_000, 2)
    assert len(seen) <= 20


def test_measurements_are_judged_in_as_many_statements_however_many_they_are(
    database: Database,
) -> None:
    holes = range(100, 400)
    site = photographed(database, [holes])
    for model in ("a", "b", "c"):
        predict(database, dict.fromkeys(site.holes, 0.7), model)
    items = [motion(site.grid, n, hole, n % 7) for n, hole in enumerate(holes)]
    record(database, items[:1])

    counts = []
    for part in (items[1:3], items[3:]):
        with statements(database) as seen:
            recorded = record(database, part)
        assert len(recorded.judged) == len(part)
        counts.append(len(seen))

    assert counts[0] == counts[1] <= 16


def test_square_with_six_hundred_holes_is_stored_in_few_statements(database: Database) -> None:
    manifest = epu_session()
    message = session_message(manifest)
    apply(database, message)

    with statements(database) as seen:
        applied = apply(database, square_message(message.grid_uuid, 1, range(100, 700)))

    assert applied.counts["holes"].new == 600
    assert len(seen) <= 12


def test_six_hundred_areas_are_allocated_and_told_in_few_statements(database: Database) -> None:
    site = plant(database, [range(100, 700)])

    with statements(database) as seen, database.transaction() as session:
        athena.allocate_areas(session, site.grid)
        areas = athena.unregistered_areas(session, site.grid, 1_000)
        athena.mark_registered(session, [area.area_uuid for area in areas], now=NOON)

    assert len(areas) == 601
    assert len(seen) <= 12


def test_thousand_messages_that_wait_for_different_things_take_one_statement(
    database: Database,
) -> None:
    with database.transaction() as session:
        inbox.store(session, [new_message(payload={"n": n}) for n in range(1_000)], now=NOON)
        rows = take(session, limit=1_000)

    with statements(database) as seen, database.transaction() as session:
        inbox.let_wait(session, [Missing(row, "hole", f"h{row.seq}") for row in rows])

    updates = [one for one in seen if one.startswith("UPDATE inbox_message")]
    assert len(updates) == 1
    with database.reading() as session:
        waiting = session.execute(
            select(col(InboxMessage.seq), col(InboxMessage.waiting_for), col(InboxMessage.error))
        ).all()
    assert {row.waiting_for == f"h{row.seq}" for row in waiting} == {True}
    assert {row.error == f"waits for hole h{row.seq}" for row in waiting} == {True}
    assert len(waiting) == 1_000


def test_five_thousand_woken_messages_take_few_statements(database: Database) -> None:
    with statements(database) as seen, database.transaction() as session:
        inbox.wake(session, [str(UUID(int=n)) for n in range(5_000)], key="grid", now=NOON)

    assert len(seen) <= 8


def test_statements_are_counted(database: Database) -> None:
    with statements(database) as seen, database.reading() as session:
        for _ in range(3):
            session.get(InboxMessage, 1)

    assert len([one for one in seen if "inbox_message" in one]) == 3
