"""At most one run drains a key, and what is stored always has somebody to work on it."""

import threading
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import select

from core.errors import LeaseLost
from models import drain, inbox, work
from models.database import Database
from models.drain import CAREFUL_FOR, RING_LOST_AFTER, Drain, DrainLease, DrainState
from models.inbox import InboxMessage
from tests.integration.models.factories import MAX_ATTEMPTS, NOON, after, new_message, take
from tests.support import PATIENCE

KEY = {"flow": "flow", "key": "grid"}


def _ring(database: Database, seconds: float = 0) -> bool:
    with database.transaction() as session:
        return drain.ring(session, **KEY, now=after(seconds))


def _begin(database: Database, holder: str = "run", seconds: float = 0) -> DrainLease | None:
    with database.transaction() as session:
        return drain.begin(session, **KEY, holder=holder, now=after(seconds), lease_seconds=30)


def _hold(database: Database, lease: DrainLease, seconds: float) -> None:
    with database.transaction() as session:
        drain.hold(session, lease, now=after(seconds), lease_seconds=30)


def _finish(database: Database, lease: DrainLease) -> None:
    with database.transaction() as session:
        drain.finish(session, lease)


def _state(database: Database) -> str:
    with database.reading() as session:
        return session.execute(select(Drain)).scalar_one().state


def test_first_ring_launches_and_the_next_do_not(database: Database) -> None:
    assert [_ring(database, n) for n in range(3)] == [True, False, False]


def test_ring_of_another_key_launches(database: Database) -> None:
    _ring(database)

    with database.transaction() as session:
        assert drain.ring(session, flow="flow", key="other", now=NOON)
        assert drain.ring(session, flow="other", key="grid", now=NOON)


@pytest.mark.parametrize("rung", [True, False], ids=["swept", "taken"])
def test_run_after_two_crashes_is_told_to_be_careful(database: Database, *, rung: bool) -> None:
    told: list[int] = []
    for crash in range(3):
        if rung and crash:
            assert _ring(database, 31 * crash)
        lease = _begin(database, f"run {crash}", 31 * crash)
        assert lease is not None
        told.append(lease.careful)

    assert told == [0, 0, CAREFUL_FOR]


def test_batch_that_is_done_makes_up_for_a_crash(database: Database) -> None:
    _begin(database, "crashes")
    second = _begin(database, "works", 31)
    assert second is not None
    with database.transaction() as session:
        drain.hold(session, second, now=after(32), lease_seconds=30, handled=1_000)

    third = _begin(database, "third", 63)
    fourth = _begin(database, "fourth", 95)

    # One crash, a batch, one crash: twice chance. The next is no chance any more.
    assert third is not None
    assert fourth is not None
    assert (third.careful, fourth.careful) == (0, CAREFUL_FOR)


def test_care_ends_after_as_many_messages_as_a_batch_can_have(database: Database) -> None:
    for crash in range(3):
        lease = _begin(database, f"run {crash}", 31 * crash)
    assert lease is not None
    with database.transaction() as session:
        drain.hold(session, lease, now=after(70), lease_seconds=30, handled=CAREFUL_FOR - 1)
    _finish(database, lease)
    again = _begin(database, "again", 71)
    assert again is not None
    assert again.careful == 1
    with database.transaction() as session:
        drain.hold(session, again, now=after(72), lease_seconds=30, handled=1)
    _finish(database, again)

    rested = _begin(database, "rested", 73)
    assert rested is not None
    assert rested.careful == 0


def test_lost_ring_is_repeated(database: Database) -> None:
    _ring(database)

    assert not _ring(database, RING_LOST_AFTER - 1)
    assert _ring(database, RING_LOST_AFTER + 1)


def test_ring_taken_back_lets_the_next_launch(database: Database) -> None:
    _ring(database)
    with database.transaction() as session:
        drain.unring(session, **KEY)

    assert _ring(database)


def test_taking_back_a_ring_does_not_stop_a_run_that_began(database: Database) -> None:
    _ring(database)
    lease = _begin(database)
    with database.transaction() as session:
        drain.unring(session, **KEY)

    assert lease is not None
    _hold(database, lease, 1)
    assert not _ring(database, 2)


def test_only_one_run_works_on_a_key(database: Database) -> None:
    assert _begin(database, "first") is not None
    assert _begin(database, "second", 29) is None


def test_run_may_begin_without_a_ring(database: Database) -> None:
    assert _begin(database) is not None
    assert not _ring(database, 1)


def test_renewed_lease_lasts(database: Database) -> None:
    lease = _begin(database)
    assert lease is not None

    _hold(database, lease, 29)

    assert _begin(database, "second", 58) is None


def test_run_whose_lease_expired_is_taken_over_and_may_not_go_on(database: Database) -> None:
    slow = _begin(database, "slow")
    quick = _begin(database, "quick", 31)
    assert slow is not None
    assert quick is not None

    with pytest.raises(LeaseLost, match="flow of grid"):
        _hold(database, slow, 32)
    _finish(database, slow)

    assert _state(database) == DrainState.RUNNING
    _hold(database, quick, 33)


def test_run_whose_key_was_rung_again_may_not_go_on(database: Database) -> None:
    slow = _begin(database, "slow")
    assert slow is not None
    assert _ring(database, 31)

    with pytest.raises(LeaseLost):
        _hold(database, slow, 32)
    _finish(database, slow)
    assert _state(database) == DrainState.RUNG


def test_same_holder_begins_anew_with_a_higher_fence(database: Database) -> None:
    first = _begin(database)
    second = _begin(database, seconds=31)
    assert first is not None
    assert second is not None
    assert second.fence > first.fence

    with pytest.raises(LeaseLost):
        _hold(database, first, 32)


def test_finished_key_is_rung_again(database: Database) -> None:
    lease = _begin(database)
    assert lease is not None
    _finish(database, lease)

    assert _state(database) == DrainState.IDLE
    assert _ring(database, 1)


def test_key_is_quiet_when_nobody_is_on_it_or_asked_for(database: Database) -> None:
    def quiet(seconds: float) -> bool:
        with database.reading() as session:
            return drain.is_quiet(session, **KEY, now=after(seconds))

    assert quiet(0)
    _ring(database)
    assert not quiet(1)
    assert quiet(RING_LOST_AFTER + 1)
    lease = _begin(database)
    assert lease is not None
    assert not quiet(29)
    assert quiet(31)
    _finish(database, lease)
    assert quiet(0)


def test_concurrent_runs_of_which_one_gets_the_key(database: Database) -> None:
    leases: list[DrainLease | None] = []
    barrier = threading.Barrier(4)

    def begin(holder: str) -> None:
        barrier.wait(timeout=PATIENCE)
        leases.append(_begin(database, holder))

    _run([lambda name=name: begin(name) for name in "abcd"])

    assert len([lease for lease in leases if lease is not None]) == 1


@pytest.mark.parametrize("together", [True, False], ids=["one-transaction", "stored-then-rung"])
def test_no_message_is_left_without_a_run(database: Database, *, together: bool) -> None:
    """Senders store and ring while runs end as soon as they see nothing: the worst of races."""
    senders, each = 3, 40
    runs: list[threading.Thread] = []

    def send(name: int) -> None:
        for number in range(each):
            message = new_message(payload={"n": name * each + number})
            with database.transaction() as session:
                inbox.store(session, [message], now=NOON)
                wanted = together and drain.ring(session, **KEY, now=NOON)
            if not together:
                wanted = _ring(database)
            if wanted:
                runs.append(threading.Thread(target=run, args=(f"run {name}-{number}",)))
                runs[-1].start()

    def run(holder: str) -> None:
        lease = _begin(database, holder)
        while lease is not None:
            with database.transaction() as session:
                drain.hold(session, lease, now=NOON, lease_seconds=30)
                rows = take(session, limit=5)
                if not rows:
                    drain.finish(session, lease)
                    return
                inbox.finish(session, rows, now=NOON, flow_run_id=holder)

    _run([lambda name=name: send(name) for name in range(senders)])
    for thread in runs:
        thread.join(timeout=PATIENCE)

    with database.reading() as session:
        left = inbox.has_work(session, **KEY, now=NOON, max_attempts=MAX_ATTEMPTS)
        counts = work.count_by_state(session, InboxMessage)
    assert (left, counts) == (False, {"done": senders * each})
    assert _state(database) == DrainState.IDLE


def test_message_stored_while_a_run_looks_for_the_last_time_is_not_lost(
    database: Database,
) -> None:
    """The run has looked, in vain, and is about to finish when a message comes in."""
    lease = _begin(database)
    assert lease is not None
    rung: list[bool] = []

    def send() -> None:
        with database.transaction() as session:
            inbox.store(session, [new_message()], now=NOON)
        rung.append(_ring(database))

    sender = threading.Thread(target=send)
    with database.transaction() as session:
        drain.hold(session, lease, now=NOON, lease_seconds=30)
        assert not inbox.has_work(session, **KEY, now=NOON, max_attempts=MAX_ATTEMPTS)
        sender.start()
        # On PostgreSQL the message is committed now, and the ring waits for this transaction.
        sender.join(timeout=0.3)
        assert sender.is_alive()
        drain.finish(session, lease)
    sender.join(timeout=PATIENCE)

    assert rung == [True]


def _run(works: Sequence[Callable[[], None]]) -> None:
    failures: list[BaseException] = []

    def shielded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (shown by the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=shielded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)
