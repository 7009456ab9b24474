"""Models join others without a jump in what was learnt."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.cryoem.joining import joined
from domains.cryoem.weights import normalised

names = st.sampled_from("abcdef")
raw = st.sampled_from([0.0, 5e-324, 1e-310, 1.0, 1e308]) | st.floats(0.0, 1e300)


def test_without_anything_given_all_begin_with_equal_shares() -> None:
    assert joined({}, ["b", "a"], {}) == {"a": 0.5, "b": 0.5}


def test_models_that_begin_together_share_by_their_initial_weights() -> None:
    after = joined({}, ["a", "b", "c"], {"a": 3.0, "b": 1.0})

    # c has none: it counts as the others' average.
    assert after == pytest.approx({"a": 3 / 6, "b": 1 / 6, "c": 2 / 6})


def test_late_model_gets_what_the_others_have_on_average() -> None:
    after = joined({"a": 0.8, "b": 0.2}, ["c"], {})

    assert after == pytest.approx({"a": 0.8 * 2 / 3, "b": 0.2 * 2 / 3, "c": 1 / 3})


def test_late_model_with_an_initial_weight_is_compared_with_theirs() -> None:
    # Twice as much as theirs on average: 2 * 1/2, beside 1 together.
    after = joined({"a": 0.8, "b": 0.2}, ["c"], {"a": 1.0, "b": 3.0, "c": 4.0})

    assert after == pytest.approx({"a": 0.4, "b": 0.1, "c": 0.5})


def test_initial_weights_of_nothing_count_as_equal_ones() -> None:
    assert joined({"a": 1.0}, ["b"], {"a": 0.0, "b": 0.0}) == {"a": 0.5, "b": 0.5}
    assert joined({"a": 1.0}, ["b"], {"a": 0.0, "b": 2.0}) == {"a": 0.5, "b": 0.5}


def test_model_that_is_there_already_changes_nothing() -> None:
    assert joined({"a": 0.7, "b": 0.3}, ["a"], {"a": 9.0}) == {"a": 0.7, "b": 0.3}
    assert joined({}, [], {"a": 9.0}) == {}


@given(
    st.dictionaries(names, raw, max_size=4), st.sets(names, max_size=6), st.dictionaries(names, raw)
)
def test_weights_sum_to_one_whoever_joins(
    before: dict[str, float], models: set[str], initial: dict[str, float]
) -> None:
    weights = normalised(before) if before else {}
    after = joined(weights, models, initial)

    assert set(after) == set(before) | models
    assert all(0.0 <= weight <= 1.0 for weight in after.values())
    assert not after or math.isclose(math.fsum(after.values()), 1.0, rel_tol=1e-9)


@given(st.dictionaries(names, st.floats(0.01, 1.0), min_size=2, max_size=4), st.sets(names))
def test_proportions_among_those_in_force_stay(before: dict[str, float], models: set[str]) -> None:
    weights = normalised(before)
    after = joined(weights, models, {})
    kept = normalised({model: after[model] for model in weights})

    assert kept == pytest.approx(weights)
