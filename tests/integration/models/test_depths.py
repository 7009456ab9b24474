"""Depth and age of the queues are right, cheap, and shown even when the database is not there."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from prometheus_client import CollectorRegistry
from sqlmodel import col

from core import metrics
from core.clock import utcnow
from models import outbox
from models.base import DeliveryState
from models.database import Database
from models.depths import QueueDepths
from models.outbox import OutboxMessage
from models.sql import table_of
from tests.database_fixtures import statements
from tests.integration.models.factories import new_message, store

KINDS = ("epu.square", "foilhole.model_prediction")


def registry(database: Database, **options: Any) -> CollectorRegistry:
    made = CollectorRegistry(support_collectors_without_names=True)
    made.register(
        QueueDepths(database, message_kinds=KINDS, decision_kinds=("decision",), **options)
    )
    return made


def value(shown: CollectorRegistry, family: metrics.Family, **labels: str) -> float | None:
    return shown.get_sample_value(family.name, labels)


def put(database: Database, **changes: Any) -> None:
    ident = uuid4()
    row = {
        "id": ident,
        "domain": "cryoem",
        "kind": "decision",
        "flow": "f",
        "key": "k",
        "subject": str(ident),
        "payload": {},
        "caused_at": None,
        **changes,
    }
    now = row.pop("created_at", utcnow())
    state = row.pop("state", DeliveryState.PENDING)
    with database.transaction() as session:
        outbox.put(session, [row], now=now)
        session.execute(
            table_of(OutboxMessage)
            .update()
            .where(col(OutboxMessage.id) == ident)
            .values(state=state)
        )


def test_messages_are_counted_by_kind_and_state_with_the_age_of_the_oldest(
    database: Database,
) -> None:
    now = utcnow()
    waiting = DeliveryState.WAITING
    store(database, new_message(kind="epu.square"), now=now - timedelta(seconds=60))
    store(database, new_message(kind="epu.square"), now=now - timedelta(seconds=30))
    store(database, new_message(kind="epu.square", state=waiting), now=now - timedelta(hours=1))
    store(database, new_message(kind="epu.square", state=DeliveryState.DONE))

    shown = registry(database, fresh_seconds=60)
    square = {"kind": "epu.square"}
    assert value(shown, metrics.INBOX_MESSAGES, **square, state="pending") == 2
    assert value(shown, metrics.INBOX_MESSAGES, **square, state="waiting") == 1
    assert value(shown, metrics.INBOX_MESSAGES, **square, state="done") is None
    age = value(shown, metrics.INBOX_OLDEST, **square, state="pending")
    assert age is not None
    assert 60 <= age < 90
    age = value(shown, metrics.INBOX_OLDEST, **square, state="waiting")
    assert age is not None
    assert 3_600 <= age < 3_630


def test_empty_queues_are_shown_as_zero(database: Database) -> None:
    shown = registry(database, fresh_seconds=60)

    for kind in KINDS:
        assert value(shown, metrics.INBOX_MESSAGES, kind=kind, state="dead") == 0
        assert value(shown, metrics.INBOX_OLDEST, kind=kind, state="pending") == 0
    assert value(shown, metrics.OUTBOX_MESSAGES, kind="decision", state="pending") == 0
    assert value(shown, metrics.DATABASE_UP) == 1


def test_kinds_that_nobody_knows_count_as_one(database: Database) -> None:
    for number in range(3):
        store(database, new_message(kind=f"made up {number}", state=DeliveryState.DEAD))

    shown = registry(database, fresh_seconds=60)
    assert value(shown, metrics.INBOX_MESSAGES, kind="other", state="dead") == 3
    assert value(shown, metrics.INBOX_MESSAGES, kind="made up 0", state="dead") is None


def test_decisions_are_counted_until_they_are_sent_or_superseded(database: Database) -> None:
    put(database, created_at=utcnow() - timedelta(seconds=90))
    put(database, state=DeliveryState.DONE)
    put(database, state=DeliveryState.SUPERSEDED)

    shown = registry(database, fresh_seconds=60)
    found = {
        sample.labels["state"]: sample.value
        for family in shown.collect()
        for sample in family.samples
        if sample.name == metrics.OUTBOX_MESSAGES.name
    }
    assert found == {"pending": 1, "claimed": 0, "waiting": 0, "dead": 0}
    age = value(shown, metrics.OUTBOX_OLDEST, kind="decision", state="pending")
    assert age is not None
    assert 90 <= age < 120


def test_who_looks_soon_again_asks_the_database_nothing(database: Database) -> None:
    shown = registry(database, fresh_seconds=60)
    with statements(database) as first:
        list(shown.collect())
    with statements(database) as second:
        list(shown.collect())

    assert len([one for one in first if one.startswith("SELECT")]) == 2
    assert second == []


def test_a_database_that_is_gone_is_shown_as_such() -> None:
    gone = Database("postgresql://postgres@127.0.0.1:1/athanor")
    shown = registry(gone)

    assert value(shown, metrics.DATABASE_UP) == 0
    assert value(shown, metrics.INBOX_MESSAGES, kind=KINDS[0], state="pending") is None
    gone.close()
