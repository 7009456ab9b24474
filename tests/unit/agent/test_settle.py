import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.epu.files import Signature
from agent.epu.settle import Ledger

FILE = Path("/s/Metadata/GridSquare_1.dm")
SMALL, LARGE = Signature(10, 1), Signature(20, 2)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(settle_seconds=1.0, give_up_seconds=30.0)


def settled(ledger: Ledger, at: float = 0.0, signature: Signature = SMALL) -> float:
    ledger.observe(FILE, signature, at)
    assert ledger.observe(FILE, signature, at + 1.0)
    return at + 1.0


def test_a_file_is_ready_once_it_has_not_changed_for_the_settle_time(ledger: Ledger):
    assert not ledger.observe(FILE, SMALL, 0.0)
    assert not ledger.observe(FILE, SMALL, 0.9)
    assert ledger.due(0.9) == []
    assert ledger.due(1.0) == [FILE]
    assert ledger.observe(FILE, SMALL, 1.0)


def test_every_change_starts_the_settle_time_again(ledger: Ledger):
    ledger.observe(FILE, SMALL, 0.0)
    assert not ledger.observe(FILE, LARGE, 0.9)
    assert not ledger.observe(FILE, LARGE, 1.8)
    assert ledger.observe(FILE, LARGE, 1.9)


def test_an_ingested_file_stays_so_until_it_changes(ledger: Ledger):
    now = settled(ledger)
    ledger.ingested(FILE, SMALL, b"digest")
    assert not ledger.observe(FILE, SMALL, now + 5)
    assert FILE not in ledger.waiting
    ledger.observe(FILE, LARGE, now + 6)
    assert FILE in ledger.waiting
    assert FILE not in ledger.outcomes
    assert ledger.observe(FILE, LARGE, now + 7)


def test_a_file_that_goes_away_while_it_waits_is_forgotten(ledger: Ledger):
    ledger.observe(FILE, SMALL, 0.0)
    assert not ledger.observe(FILE, None, 1.0)
    assert (dict(ledger.waiting), ledger.outcomes) == ({}, {})


def test_an_ingested_file_that_goes_away_stays_ingested(ledger: Ledger):
    settled(ledger)
    ledger.ingested(FILE, SMALL, b"digest")
    ledger.observe(FILE, None, 9.0)
    assert ledger.outcomes[FILE].failure is None


def test_an_unreadable_file_is_given_up_once_it_was_stable_for_long_enough(ledger: Ledger):
    now = settled(ledger)
    looks = [now]
    while not ledger.unreadable(FILE, "ends too early", now):
        now = ledger.next_look()
        assert ledger.observe(FILE, SMALL, now)
        looks.append(now)
    assert now == 30.0
    pauses = [after - before for before, after in itertools.pairwise(looks)]
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert max(pauses) <= 5.0


def test_an_unreadable_file_that_grows_gets_its_time_again(ledger: Ledger):
    now = settled(ledger)
    assert not ledger.unreadable(FILE, "ends too early", now)
    ledger.observe(FILE, LARGE, 29.0)
    assert ledger.observe(FILE, LARGE, 30.0)
    assert not ledger.unreadable(FILE, "ends too early", 58.9)
    assert ledger.unreadable(FILE, "ends too early", 59.0)


def test_news_of_an_unreadable_file_that_did_not_change_does_not_hasten_the_next_try(
    ledger: Ledger,
):
    now = settled(ledger)
    ledger.unreadable(FILE, "ends too early", now)
    assert not ledger.observe(FILE, SMALL, now + 0.1)


def test_a_parked_file_waits_until_its_folder_is_called(ledger: Ledger):
    settled(ledger)
    ledger.park(FILE, "no session")
    assert ledger.next_look() == float("inf")
    assert not ledger.observe(FILE, SMALL, 100.0)
    ledger.unpark(Path("/other"), 100.0)
    assert ledger.due(100.0) == []
    ledger.unpark(Path("/s"), 100.0)
    assert ledger.due(100.0) == [FILE]
    assert ledger.observe(FILE, SMALL, 100.0)
    assert ledger.waiting[FILE].reason == "no session"


def test_an_expected_file_waits_while_it_does_not_exist(ledger: Ledger):
    ledger.expect(FILE, 0.0)
    assert ledger.due(0.0) == [FILE]
    assert not ledger.observe(FILE, None, 0.0)
    assert ledger.next_look() == float("inf")
    assert ledger.waiting[FILE].reason == "does not exist yet"
    ledger.observe(FILE, SMALL, 50.0)
    assert ledger.observe(FILE, SMALL, 51.0)


def test_a_failed_file_that_is_rewritten_gets_a_new_chance(ledger: Ledger):
    settled(ledger)
    ledger.failed(FILE, SMALL, "no XML")
    assert not ledger.observe(FILE, SMALL, 9.0)
    assert ledger.outcomes[FILE].failure == "no XML"
    settled(ledger, 10.0, LARGE)
    ledger.ingested(FILE, LARGE, b"digest")
    assert ledger.outcomes[FILE].failure is None


def test_content_is_known_only_while_it_is_the_ingested_one(ledger: Ledger):
    assert not ledger.is_known_content(FILE, b"")
    ledger.ingested(FILE, SMALL, b"one")
    assert ledger.is_known_content(FILE, b"one")
    assert not ledger.is_known_content(FILE, b"two")
    ledger.failed(FILE, LARGE, "broken")
    assert not ledger.is_known_content(FILE, b"one")


def test_starting_over_reads_every_ended_file_of_a_folder_again(ledger: Ledger):
    ledger.ingested(FILE, SMALL, b"one")
    elsewhere = Path("/other/EpuSession.dm")
    ledger.ingested(elsewhere, SMALL, b"two")
    ledger.start_over(Path("/s"), 5.0)
    assert ledger.due(5.0) == [FILE]
    assert ledger.observe(FILE, SMALL, 5.0)
    assert elsewhere in ledger.outcomes


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["observe", "vanish", "ingest", "fail", "park", "unpark", "expect"]),
            st.integers(0, 2),
            st.floats(0, 5),
        )
    )
)
def test_a_file_is_in_one_state_at_a_time(steps: list[tuple[str, int, float]]):
    ledger = Ledger(settle_seconds=1.0, give_up_seconds=3.0)
    now = 0.0
    for step, number, pause in steps:
        now += pause
        signature = Signature(number, number)
        if step == "observe":
            ready = ledger.observe(FILE, signature, now)
            assert not ready or FILE in ledger.waiting
        elif step == "vanish":
            ledger.observe(FILE, None, now)
        elif step == "expect":
            ledger.expect(FILE, now)
        elif step == "unpark":
            ledger.unpark(FILE.parent, now)
        elif FILE in ledger.waiting and step == "park":
            ledger.park(FILE, "parked")
        elif FILE in ledger.waiting and step == "ingest":
            ledger.ingested(FILE, signature, b"x")
        elif FILE in ledger.waiting:
            ledger.failed(FILE, signature, "why")
        assert not (FILE in ledger.waiting and FILE in ledger.outcomes)
