"""What the outbox promises, on both databases."""

from typing import Any
from uuid import UUID, uuid5

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from core.errors import LeaseLost
from core.ids import ATHANOR
from models import outbox, work
from models.base import DeliveryState
from models.database import Database
from models.outbox import OutboxMessage
from models.work import Lease
from tests.integration.models.factories import NOON, after


def _ident(name: str) -> UUID:
    return uuid5(ATHANOR, name)


def _row(name: str, *, subject: str = "subject", **values: Any) -> dict[str, Any]:
    return {
        "id": _ident(name),
        "domain": "cryoem",
        "kind": "kind",
        "flow": "flow",
        "key": "grid",
        "subject": subject,
        "payload": {"name": name},
        "caused_at": None,
        **values,
    }


def _put(database: Database, *rows: dict[str, Any], now: float = 0) -> None:
    with database.transaction() as session:
        outbox.put(session, rows, now=after(now))


def _claim(session: Session, holder: str = "run", now: float = 0) -> tuple[Lease, list[Any]]:
    return work.claim(
        session,
        OutboxMessage,
        holder=holder,
        now=after(now),
        lease_seconds=30,
        limit=100,
        max_attempts=3,
    )


def _states(database: Database) -> dict[str, str]:
    with database.reading() as session:
        rows = session.scalars(select(OutboxMessage).order_by(col(OutboxMessage.seq)))
        return {row.payload["name"]: row.state for row in rows}


def _only(database: Database) -> OutboxMessage:
    with database.reading() as session:
        return session.execute(select(OutboxMessage)).scalar_one()


def test_row_put_twice_stays_as_it_was_first(database: Database) -> None:
    _put(database, _row("a", caused_at=NOON))
    _put(database, _row("a", subject="other"), now=9)

    row = _only(database)
    assert (row.subject, row.created_at, row.caused_at) == ("subject", NOON, NOON)


def test_rows_are_claimed_in_the_order_they_were_put(database: Database) -> None:
    _put(database, _row("b"), _row("a"))
    _put(database, _row("c"))

    with database.transaction() as session:
        _, rows = _claim(session)

    assert [row.payload["name"] for row in rows] == ["b", "a", "c"]


def test_unsent_row_is_superseded_by_a_newer_one_on_its_subject(database: Database) -> None:
    _put(database, _row("old"), _row("elsewhere", subject="other"))

    with database.transaction() as session:
        outbox.supersede(session, ["subject"], keep=[_ident("new")])
        outbox.put(session, [_row("new")], now=NOON)

    superseded, pending = DeliveryState.SUPERSEDED, DeliveryState.PENDING
    assert _states(database) == {"old": superseded, "elsewhere": pending, "new": pending}


def test_kept_row_is_not_superseded(database: Database) -> None:
    _put(database, _row("same"))

    with database.transaction() as session:
        outbox.supersede(session, ["subject"], keep=[_ident("same")])

    assert _states(database) == {"same": DeliveryState.PENDING}


def test_row_that_may_have_been_sent_is_not_superseded(database: Database) -> None:
    _put(database, _row("tried"))
    with database.transaction() as session:
        lease, rows = _claim(session)
    with database.transaction() as session:
        outbox.supersede(session, ["subject"], keep=[])
    assert _states(database) == {"tried": DeliveryState.CLAIMED}

    with database.transaction() as session:
        outbox.release(
            session, rows, lease, reason="timed out", undo_attempt=False, available_at=NOON
        )
        outbox.supersede(session, ["subject"], keep=[])
    assert _states(database) == {"tried": DeliveryState.PENDING}


def test_many_subjects_are_superseded_at_once(database: Database) -> None:
    _put(database, *(_row(f"old {n}", subject=f"s{n}") for n in range(2_000)))

    with database.transaction() as session:
        outbox.supersede(
            session,
            [f"s{n}" for n in range(40_000)],
            keep=[_ident(f"new {n}") for n in range(40_000)],
        )

    assert set(_states(database).values()) == {DeliveryState.SUPERSEDED}


def test_sent_row_is_done_and_never_claimed_again(database: Database) -> None:
    _put(database, _row("a"))
    with database.transaction() as session:
        lease, rows = _claim(session)
        outbox.mark_sent(session, rows, lease, now=after(1), flow_run_id="run")

    row = _only(database)
    assert (row.state, row.sent_at, row.flow_run_id) == (DeliveryState.DONE, after(1), "run")
    with database.transaction() as session:
        assert _claim(session, now=1_000)[1] == []


@pytest.mark.parametrize("undo", [True, False])
def test_released_row_is_tried_again_later(database: Database, *, undo: bool) -> None:
    _put(database, _row("a"))
    with database.transaction() as session:
        lease, rows = _claim(session)
        outbox.release(
            session, rows, lease, reason="down", undo_attempt=undo, available_at=after(5)
        )

    with database.transaction() as session:
        assert _claim(session, now=4)[1] == []
        _, (row,) = _claim(session, now=5)
    assert row.error == "down"
    # Zero tells the sender that it need not ask before it sends.
    assert row.attempts == (0 if undo else 1)


def test_row_given_up_is_dead_with_its_reason(database: Database) -> None:
    _put(database, _row("a"))
    with database.transaction() as session:
        lease, (row,) = _claim(session)
        outbox.bury(session, row, lease, reason="Athena refused it")

    assert (_only(database).state, _only(database).error) == (
        DeliveryState.DEAD,
        "Athena refused it",
    )


def test_sender_that_lost_its_lease_changes_nothing(database: Database) -> None:
    _put(database, _row("a"))
    with database.transaction() as session:
        lost, rows = _claim(session, "slow")
    with database.transaction() as session:
        _claim(session, "quick", now=31)

    with pytest.raises(LeaseLost), database.transaction() as session:
        outbox.mark_sent(session, rows, lost, now=after(32), flow_run_id=None)
    with pytest.raises(LeaseLost), database.transaction() as session:
        outbox.release(session, rows, lost, reason="", undo_attempt=True, available_at=NOON)

    assert (_only(database).claimed_by, _only(database).attempts) == ("quick", 2)
