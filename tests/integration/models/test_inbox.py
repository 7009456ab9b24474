"""What the inbox promises, on both databases."""

import json
import threading
from collections import Counter
from collections.abc import Sequence

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.errors import LeaseLost
from models import inbox, work
from models.base import DeliveryState
from models.database import Database
from models.inbox import InboxMessage, Missing, Received
from models.json_text import JsonText
from tests.integration.models.factories import (
    MAX_ATTEMPTS,
    NOON,
    after,
    claim,
    new_message,
    store,
    take,
)
from tests.support import PATIENCE


def _rows(database: Database) -> list[InboxMessage]:
    with database.reading() as session:
        return list(session.scalars(select(InboxMessage).order_by(col(InboxMessage.seq))))


def _only(database: Database) -> InboxMessage:
    (row,) = _rows(database)
    return row


def _numbers(rows: Sequence[InboxMessage | Received]) -> list[int]:
    return [row.payload["n"] for row in rows]


def test_stored_message_is_pending_with_what_it_brought(database: Database) -> None:
    (stored,) = store(database, new_message(payload={"a": [1, "β", None]}, message_id="m"))

    row = _only(database)
    assert not stored.repeated
    assert row.id == stored.id
    assert (row.state, row.attempts, row.fence) == (DeliveryState.PENDING, 0, 0)
    assert (row.source, row.message_id, row.key) == ("test", "m", "grid")
    assert row.payload == {"a": [1, "β", None]}
    assert row.received_at == NOON


def test_same_message_id_of_a_source_is_stored_once(database: Database) -> None:
    first = store(database, new_message(message_id="m", payload={"n": 1}))
    again = store(
        database,
        new_message(message_id="m", payload={"n": 2}),
        new_message(message_id="other", payload={"n": 3}),
        new_message(message_id="other", payload={"n": 4}),
    )

    assert [one.repeated for one in again] == [True, False, True]
    assert again[0].id == first[0].id
    assert _numbers(_rows(database)) == [1, 3]


def test_message_that_comes_twice_in_one_call_is_stored_once_where_it_came_first(
    database: Database,
) -> None:
    told = store(
        database,
        new_message(message_id="a", payload={"n": 1}),
        new_message(message_id="b", payload={"n": 2}),
        new_message(message_id="a", payload={"n": 3}),
    )

    assert [one.repeated for one in told] == [False, False, True]
    assert _numbers(_rows(database)) == [1, 2]


def test_message_ids_of_different_sources_do_not_meet(database: Database) -> None:
    store(database, new_message(message_id="m"), new_message(message_id="m", source="other"))

    assert len(_rows(database)) == 2


def test_messages_without_an_id_are_all_kept(database: Database) -> None:
    store(database, new_message(), new_message())

    assert len(_rows(database)) == 2


def test_concurrent_senders_of_the_same_messages_store_each_once(database: Database) -> None:
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def send() -> None:
        try:
            barrier.wait(timeout=PATIENCE)
            for batch in range(5):
                store(
                    database,
                    *(new_message(message_id=f"{batch}-{n}", payload={"n": n}) for n in range(20)),
                )
        except BaseException as error:  # noqa: BLE001 (shown by the test's own thread)
            failures.append(error)

    _run_all([threading.Thread(target=send) for _ in range(4)])

    assert failures == []
    assert Counter(_numbers(_rows(database))) == dict.fromkeys(range(20), 5)


def test_messages_of_the_key_are_taken_in_order_of_arrival(database: Database) -> None:
    store(
        database,
        *(new_message("grid" if n % 2 else "elsewhere", payload={"n": n}) for n in range(10)),
        new_message("grid", flow="another", payload={"n": 99}),
    )

    with database.transaction() as session:
        first = take(session, limit=3)
        inbox.finish(session, first, now=NOON, flow_run_id=None)
        rest = take(session)

    assert _numbers(first) == [1, 3, 5]
    assert _numbers(rest) == [7, 9]


def test_message_is_taken_with_all_that_its_handler_needs(database: Database) -> None:
    (stored,) = store(database, new_message(payload={"n": 1, "name": 'Grid "7" \\ µ'}))

    with database.transaction() as session:
        (taken,) = take(session)

    assert (taken.id, taken.domain, taken.kind) == (stored.id, "cryoem", "kind")
    assert taken.payload == {"n": 1, "name": 'Grid "7" \\ µ'}
    assert (taken.received_at, taken.attempts) == (NOON, 0)


def test_json_text_is_stored_as_the_value_that_it_is_text_of(database: Database) -> None:
    store(
        database,
        *(
            new_message(payload=JsonText(json.dumps({"n": n, "path": 'Z:\\a "b"'})))
            for n in range(2)
        ),
    )

    assert [row.payload for row in _rows(database)] == [
        {"n": n, "path": 'Z:\\a "b"'} for n in range(2)
    ]


def test_claimed_message_counts_the_try_and_is_taken_first_after_a_crash(
    database: Database,
) -> None:
    store(database, new_message(payload={"n": 1}), new_message(payload={"n": 2}))
    with database.transaction() as session:
        claim(session, "crashed")

    # Whoever holds the key now need not wait for the lease of the one that held it before.
    with database.transaction() as session:
        first, second = take(session, now=after(1))

    assert (first.attempts, second.attempts) == (1, 0)
    assert _rows(database)[0].claimed_by == "crashed"


@pytest.mark.parametrize("what", ["finish", "set_aside", "let_wait"])
def test_message_that_another_settled_cannot_be_settled_again(
    database: Database, what: str
) -> None:
    store(database, new_message(payload={"n": 1}), new_message(payload={"n": 2}))
    with database.transaction() as session:
        rows = take(session)
        inbox.finish(session, rows[:1], now=NOON, flow_run_id=None)
    before = _rows(database)

    with pytest.raises(LeaseLost, match="1 of"), database.transaction() as session:  # noqa: PT012
        # What else the transaction does must go with it.
        inbox.store(session, [new_message(payload={"n": 3})], now=after(32))
        if what == "finish":
            inbox.finish(session, rows, now=after(32), flow_run_id="run")
        elif what == "set_aside":
            inbox.set_aside(session, rows[0], reason="wrong")
        else:
            inbox.let_wait(session, [Missing(row, "hole", "h") for row in rows])

    assert [row.model_dump() for row in _rows(database)] == [row.model_dump() for row in before]


def test_finished_message_is_done_and_never_taken_again(database: Database) -> None:
    store(database, new_message())
    with database.transaction() as session:
        inbox.finish(session, claim(session), now=after(1), flow_run_id="run")

    row = _only(database)
    assert (row.state, row.flow_run_id, row.done_at) == (DeliveryState.DONE, "run", after(1))
    assert (row.claimed_by, row.lease_expires_at) == (None, None)
    with database.transaction() as session:
        assert take(session, now=after(1_000)) == []


def test_finishing_nothing_is_no_loss(database: Database) -> None:
    with database.transaction() as session:
        inbox.finish(session, take(session), now=NOON, flow_run_id=None)


def test_message_set_aside_is_dead_with_its_reason(database: Database) -> None:
    store(database, new_message())
    with database.transaction() as session:
        (row,) = take(session)
        inbox.set_aside(session, row, reason="prediction_value: is 7")

    assert (_only(database).state, _only(database).error) == (
        DeliveryState.DEAD,
        "prediction_value: is 7",
    )


def test_waiting_message_is_woken_by_what_it_waits_for(database: Database) -> None:
    store(database, new_message("", payload={"n": 1}), new_message("", payload={"n": 2}))
    with database.transaction() as session:
        rows = take(session, key="")
        inbox.let_wait(session, [Missing(rows[0], "hole", "h1"), Missing(rows[1], "hole", "h2")])
    assert [row.error for row in _rows(database)] == ["waits for hole h1", "waits for hole h2"]
    assert [row.attempts for row in _rows(database)] == [0, 0]

    with database.transaction() as session:
        assert inbox.wake(session, ["h1", "unheard"], key="grid", now=after(5)) == {"flow"}
        assert inbox.wake(session, ["unheard"], key="grid", now=after(5)) == set()

    woken, asleep = _rows(database)
    assert (woken.state, woken.key, woken.error) == (DeliveryState.PENDING, "grid", None)
    assert woken.waiting_for is None
    assert (asleep.state, asleep.key) == (DeliveryState.WAITING, "")


def test_woken_message_may_keep_its_key(database: Database) -> None:
    store(database, new_message("mine"))
    with database.transaction() as session:
        rows = take(session, key="mine")
        inbox.let_wait(session, [Missing(row, "metric", "m") for row in rows])
        inbox.wake(session, ["m"], key=None, now=NOON)

    assert _only(database).key == "mine"


def test_many_idents_wake_at_once(database: Database) -> None:
    store(
        database,
        *(
            new_message("", state=DeliveryState.WAITING, waiting_for=f"h{n}", payload={"n": n})
            for n in range(2_500)
        ),
    )

    with database.transaction() as session:
        inbox.wake(session, [f"h{n}" for n in range(2_500)], key="grid", now=NOON)

    assert {row.state for row in _rows(database)} == {DeliveryState.PENDING}


def test_only_dead_and_waiting_messages_can_be_injected_again(database: Database) -> None:
    ids = [
        one.id
        for one in store(
            database,
            *(new_message(state=state, payload={"n": n}) for n, state in enumerate(DeliveryState)),
        )
    ]

    with database.transaction() as session:
        rows = inbox.retryable(session, ids)

    assert {row.state for row in rows} == {DeliveryState.DEAD, DeliveryState.WAITING}


def test_replaced_message_is_taken_with_its_new_values(database: Database) -> None:
    (stored,) = store(database, new_message("", state=DeliveryState.DEAD, error="wrong"))

    with database.transaction() as session:
        new = {"id": stored.id, "key": "grid", "state": DeliveryState.PENDING, "error": None}
        inbox.replace(session, [new], attempts=0)
        (row,) = take(session)

    assert row.id == stored.id
    assert _only(database).error is None


def test_message_that_failed_too_often_is_buried(database: Database) -> None:
    store(database, new_message(payload={"n": 1}))
    for attempt in range(MAX_ATTEMPTS):
        with database.transaction() as session:
            assert len(claim(session, now=after(31 * attempt))) == 1
    store(database, new_message(payload={"n": 2}))

    with database.transaction() as session:
        assert _numbers(claim(session, now=after(1_000))) == [2]
        # Still under its last lease it is not dead yet.
        args = {"max_attempts": MAX_ATTEMPTS}
        assert work.bury_exhausted(session, InboxMessage, now=after(62), **args) == 0
        assert work.bury_exhausted(session, InboxMessage, now=after(1_000), **args) == 1

    buried, claimed = _rows(database)
    assert (buried.state, buried.claimed_by) == (DeliveryState.DEAD, None)
    assert buried.error == f"gave up after {MAX_ATTEMPTS} attempts"
    assert claimed.state == DeliveryState.CLAIMED


def test_message_is_not_taken_before_it_is_available(database: Database) -> None:
    (stored,) = store(database, new_message())
    with database.transaction() as session:
        inbox.replace(session, [{"id": stored.id}], available_at=after(10))

    with database.transaction() as session:
        assert take(session, now=after(9)) == []
        assert len(take(session, now=after(10))) == 1


def test_work_is_seen_where_there_is_some(database: Database) -> None:
    store(
        database,
        new_message("a"),
        new_message("b", state=DeliveryState.DEAD),
        new_message("", state=DeliveryState.PENDING),
    )

    with database.reading() as session:
        seen = inbox.keys_with_work(session, now=NOON, max_attempts=MAX_ATTEMPTS)
        where = {
            key: inbox.has_work(session, flow="flow", key=key, now=NOON, max_attempts=MAX_ATTEMPTS)
            for key in "ab"
        }
        counts = work.count_by_state(session, InboxMessage)

    # A message without a key has nobody to work on it.
    assert seen == {("flow", "a")}
    assert where == {"a": True, "b": False}
    assert counts == {"pending": 2, "dead": 1}


def _run_all(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
