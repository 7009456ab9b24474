"""A measurement is judged by those before it, whatever they were."""

import math
from itertools import pairwise
from statistics import NormalDist
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.cryoem.planning import Floats
from domains.cryoem.quality import LARGEST, Statistics, is_good, joined, judge, judge_in_turn

measured = st.floats(-LARGEST, LARGEST)
#: Of like size, as a metric's values are, so that rounding is small beside them.
alike = st.floats(1.0, 1000.0)


def statistics_of(values: list[float]) -> Statistics:
    found = Statistics()
    for value in values:
        found = joined(found, value)
    return found


def one_by_one(values: list[float], larger_is_better: bool) -> tuple[list[float], Statistics]:
    found, qualities = Statistics(), []
    for value in values:
        qualities.append(judge(found, value, larger_is_better=larger_is_better))
        found = joined(found, value)
    return qualities, found


@pytest.mark.parametrize("larger_is_better", [True, False])
def test_first_measurement_is_good(larger_is_better: bool) -> None:
    assert judge(Statistics(), 3.2, larger_is_better=larger_is_better) == 1.0


@pytest.mark.parametrize(
    ("value", "larger_is_better", "quality"),
    [(4.0, True, 1.0), (4.0, False, 0.0), (2.0, True, 0.0), (2.0, False, 1.0), (3.0, True, 0.5)],
)
def test_second_is_better_worse_or_equal(
    value: float, larger_is_better: bool, quality: float
) -> None:
    assert judge(statistics_of([3.0]), value, larger_is_better=larger_is_better) == quality


@pytest.mark.parametrize(
    ("value", "larger_is_better", "quality"),
    [(0.2, True, 1.0), (0.2, False, 0.0), (0.1, True, 0.5), (0.1, False, 0.5), (0.05, False, 1.0)],
)
def test_among_equal_ones_it_is_better_worse_or_equal(
    value: float, larger_is_better: bool, quality: float
) -> None:
    before = statistics_of([0.1] * 7)

    assert before.sd == 0.0
    assert judge(before, value, larger_is_better=larger_is_better) == quality


def test_later_ones_are_judged_by_the_normal_distribution() -> None:
    # CTF fits in Å: mean 4, sum of squares 2, standard deviation 1. 3 Å is one better.
    before = statistics_of([3.0, 4.0, 5.0])

    assert before == Statistics(3, 4.0, 2.0)
    assert before.sd == 1.0
    assert judge(before, 3.0, larger_is_better=False) == pytest.approx(0.8413447460685429)
    assert judge(before, 3.0, larger_is_better=True) == pytest.approx(0.15865525393145707)
    assert judge(before, 4.0, larger_is_better=False) == 0.5


def test_value_does_not_count_before_it_is_judged() -> None:
    qualities, after = judge_in_turn(Statistics(), np.array([3.0, 4.0, 5.0]), larger_is_better=True)

    # Third: mean 3.5 and standard deviation √0.5 of the first two.
    assert qualities.tolist() == [1.0, 1.0, pytest.approx(NormalDist().cdf(1.5 / math.sqrt(0.5)))]
    assert after == Statistics(3, 4.0, 2.0)


def test_good_is_one_half_and_more() -> None:
    assert is_good(0.5)
    assert is_good(1.0)
    assert not is_good(np.nextafter(0.5, 0.0))


@given(values=st.lists(measured), larger_is_better=st.booleans())
def test_quality_is_within_0_and_1_whatever_is_measured(
    values: list[float], larger_is_better: bool
) -> None:
    qualities, after = judge_in_turn(
        Statistics(), np.array(values), larger_is_better=larger_is_better
    )

    assert ((qualities >= 0.0) & (qualities <= 1.0)).all()
    assert math.isfinite(after.mean)
    assert math.isfinite(after.sd)


@given(values=st.lists(measured), larger_is_better=st.booleans())
def test_many_at_once_are_judged_as_one_by_one(values: list[float], larger_is_better: bool) -> None:
    expected, after = one_by_one(values, larger_is_better)
    qualities, same = judge_in_turn(
        Statistics(), np.array(values), larger_is_better=larger_is_better
    )

    np.testing.assert_allclose(qualities, expected, rtol=0, atol=1e-12)
    assert same == after


@given(values=st.lists(measured), split=st.integers(0, 20))
def test_batches_may_be_cut_anywhere(values: list[float], split: int) -> None:
    whole, after = judge_in_turn(Statistics(), np.array(values), larger_is_better=True)
    head, between = judge_in_turn(Statistics(), np.array(values[:split]), larger_is_better=True)
    tail, end = judge_in_turn(between, np.array(values[split:]), larger_is_better=True)

    assert [*head, *tail] == whole.tolist()
    assert end == after


@given(values=st.lists(alike, min_size=1, max_size=200))
def test_statistics_are_numpys_of_the_whole_sample(values: list[float]) -> None:
    found = statistics_of(values)

    assert found.count == len(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-12)
    assert found.m2 == pytest.approx(np.var(values) * len(values), rel=1e-9, abs=1e-7)
    if len(values) > 1:
        assert found.sd == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-6)


@given(values=st.lists(alike, max_size=50), data=st.data())
def test_statistics_do_not_depend_on_the_order_of_arrival(
    values: list[float], data: st.DataObject
) -> None:
    found = statistics_of(values)
    other = statistics_of(data.draw(st.permutations(values)))

    assert other.count == found.count
    assert other.mean == pytest.approx(found.mean, rel=1e-12)
    assert other.m2 == pytest.approx(found.m2, rel=1e-9, abs=1e-7)


@given(before=st.lists(alike, max_size=20), values=st.lists(alike, min_size=2, max_size=20))
def test_better_value_is_never_judged_worse(before: list[float], values: list[float]) -> None:
    known = statistics_of(before)
    rising = [judge(known, value, larger_is_better=True) for value in sorted(values)]
    falling = [judge(known, value, larger_is_better=False) for value in sorted(values)]

    assert all(first <= second for first, second in pairwise(rising))
    assert all(first >= second for first, second in pairwise(falling))


@given(before=st.lists(alike, min_size=1, max_size=20), value=alike)
def test_what_is_good_when_large_is_bad_when_small(before: list[float], value: float) -> None:
    known = statistics_of(before)

    large = judge(known, value, larger_is_better=True)
    small = judge(known, value, larger_is_better=False)

    assert large + small == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e101])
def test_what_is_no_measurement_is_refused(value: float) -> None:
    known = statistics_of([1.0, 2.0])
    values: Floats = np.array([1.0, value])

    for refuse in (
        lambda: judge(known, value, larger_is_better=True),
        lambda: joined(known, value),
        lambda: judge_in_turn(known, values, larger_is_better=True),
    ):
        with pytest.raises(ValueError, match="no measurement"):
            refuse()


def test_hundred_thousand_are_judged_well_within_a_second() -> None:
    values = np.random.default_rng(4).normal(4.0, 1.0, 100_000)

    started = process_time()
    qualities, after = judge_in_turn(Statistics(), values, larger_is_better=False)

    assert process_time() - started < 1.0
    assert after.mean == pytest.approx(values.mean())
    assert qualities.mean() == pytest.approx(0.5, abs=0.01)
