import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recorder.format import parse_event
from agent.recorder.pace import BURST, DEV, EXACT, FAST, Pace, Schedule, shuffled
from tests.unit.agent.recorder.handmade import event


def waits(pace: Pace, *timestamps: float) -> list[float]:
    schedule = Schedule(pace)
    due = [schedule.due(timestamp) for timestamp in timestamps]
    return [round(after - before, 9) for before, after in itertools.pairwise([0.0, *due])]


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        (EXACT, [0, 0.5, 3600, 0]),
        (FAST, [0, 0.005, 1, 0]),
        # A thousandth, and yet a moment for a watcher to look.
        (DEV, [0, 0.001, 0.1, 0.001]),
        (BURST, [0, 0, 0, 0]),
        (Pace(speed=50), [0, 0.01, 72, 0]),
        (Pace(max_delay=2), [0, 0.5, 2, 0]),
    ],
)
def test_a_mode_turns_gaps_into_waits(pace: Pace, expected: list[float]):
    # The last event is dated before the one before it, as by a clock that was set.
    assert waits(pace, 100.0, 100.5, 3700.5, 3600.0) == expected


_NAMES = st.sampled_from(["a", "b", "c", "d/e"])
_EVENTS = st.lists(
    st.one_of(
        st.builds(event, st.sampled_from(["created", "modified", "deleted", "appended"]), _NAMES),
        st.builds(lambda a, b: event("moved", a, dest_path=b), _NAMES, _NAMES),
        st.builds(lambda a: event("deleted", a, is_directory=True), _NAMES),
    ),
    max_size=25,
)


@given(raw=_EVENTS, seed=st.integers(0, 1000))
def test_shuffling_keeps_each_files_events_in_order(raw: list[dict], seed: int):
    events = [parse_event(number, one) for number, one in enumerate(raw)]
    order = shuffled(events, seed)
    assert sorted(order) == list(range(len(events)))
    assert order == shuffled(events, seed)
    for name in ("a", "b", "c", "d/e"):
        of_file = [p for p in order if name in {events[p].src_path, events[p].dest_path}]
        assert of_file == sorted(of_file)
    for position, one in enumerate(events):
        if one.is_directory:
            at = order.index(position)
            assert set(order[:at]) == set(range(position))


def test_shuffling_shuffles():
    events = [parse_event(n, event("created", f"file-{n}")) for n in range(50)]
    orders = {tuple(shuffled(events, seed)) for seed in range(10)}
    assert len(orders) == 10
