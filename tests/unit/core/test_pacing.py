"""Work that can wait keeps to its share of the time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pacing import Pace


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_begins_at_once_and_rests_after_work() -> None:
    """A fifth of the time: one second of work, four of rest."""
    clock = Clock()
    pace = Pace(0.2, clock=clock)
    assert not pace.rests()
    with pace.working():
        clock.now = 1.0
    assert pace.rests()
    clock.now = 4.999
    assert pace.rests()
    clock.now = 5.001
    assert not pace.rests()


def test_work_of_several_at_once_adds_up() -> None:
    """Two who began together both make up for their time."""
    clock = Clock()
    pace = Pace(0.5, clock=clock)
    with pace.working(), pace.working():
        clock.now = 1.0
    clock.now = 2.999
    assert pace.rests()
    clock.now = 3.001
    assert not pace.rests()


@given(share=st.floats(0.05, 1.0), parts=st.lists(st.floats(0.01, 10.0), min_size=1, max_size=10))
def test_it_keeps_its_share(share: float, parts: list[float]) -> None:
    """Whoever works whenever it may is at work for the share of the time, and no more."""
    clock = Clock()
    pace = Pace(share, clock=clock)
    for seconds in parts:
        with pace.working():
            clock.now += seconds
        while pace.rests():
            clock.now += seconds / 50
    assert sum(parts) / clock.now == pytest.approx(share, rel=0.15)
    assert sum(parts) / clock.now <= share + 1e-6
