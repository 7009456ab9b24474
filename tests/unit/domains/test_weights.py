"""Weights stay weights, whatever is predicted and measured."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.cryoem.planning import Floats
from domains.cryoem.weights import normalised, updated, updated_in_turn

shares = st.floats(0.0, 1.0)
#: Also such as no sum holds, and such as vanish beside another.
raw = st.sampled_from([0.0, 5e-324, 1e-310, 1e-17, 1.0, 1e308]) | st.floats(0.0, 1e300)
predicted = st.just(math.nan) | shares


def weights_of(values: list[float]) -> Floats:
    found = normalised({str(place): value for place, value in enumerate(values)})
    return np.array(list(found.values()))


@st.composite
def updates(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    models = draw(st.integers(1, 5))
    weights = draw(st.lists(raw, min_size=models, max_size=models))
    rows = draw(
        st.lists(
            st.tuples(st.lists(predicted, min_size=models, max_size=models), shares), max_size=8
        )
    )
    predictions = np.array([row for row, _ in rows]).reshape(len(rows), models)
    return weights_of(weights), predictions, np.array([quality for _, quality in rows])


def test_models_share_the_weight_by_how_right_they_were() -> None:
    # q = 0.8: 0.8·0.9 + 0.2·0.1 = 0.74 and 0.8·0.4 + 0.2·0.6 = 0.44, of 0.5 each.
    after = updated(np.array([0.5, 0.5]), np.array([0.9, 0.4]), 0.8)

    np.testing.assert_allclose(after, [0.37 / 0.59, 0.22 / 0.59], rtol=1e-15)


def test_model_without_a_prediction_keeps_its_weight() -> None:
    # 0.6·1 and 0.2·0.5 of those who did share the 0.8 that they had.
    after = updated(np.array([0.6, 0.2, 0.2]), np.array([1.0, math.nan, 0.5]), 1.0)

    assert after[1] == 0.2
    np.testing.assert_allclose(after, [0.8 * 0.6 / 0.7, 0.2, 0.8 * 0.1 / 0.7], rtol=1e-15)


def test_only_model_that_predicted_keeps_its_weight() -> None:
    after = updated(np.array([0.25, 0.75]), np.array([0.3, math.nan]), 0.9)

    np.testing.assert_allclose(after, [0.25, 0.75], rtol=1e-15)


@pytest.mark.parametrize(
    ("weights", "predictions", "quality"),
    [
        ([0.3, 0.7], [0.0, 0.0], 1.0),
        ([0.3, 0.7], [1.0, 1.0], 0.0),
        ([0.3, 0.7], [math.nan, math.nan], 0.5),
        ([0.0, 1.0], [0.4, math.nan], 0.9),
        ([0.3, 0.7], [0.0, math.nan], 1.0),
    ],
    ids=["all wrong", "all wrong the other way", "no prediction", "weightless", "one wrong"],
)
def test_weights_stay_when_nothing_would_be_left(
    weights: list[float], predictions: list[float], quality: float
) -> None:
    assert updated(np.array(weights), np.array(predictions), quality).tolist() == weights


def test_smallest_weight_may_become_the_whole() -> None:
    after = updated(np.array([1.0, 5e-324]), np.array([0.0, 1.0]), 1.0)

    assert after.tolist() == [0.0, 1.0]


def test_very_small_weight_is_not_lost_beside_a_model_that_predicts_nothing() -> None:
    # 1 - 1 would leave it nothing, for good.
    after = updated(np.array([1.0, 1e-20, 1e-20]), np.array([math.nan, 1.0, 0.5]), 1.0)

    np.testing.assert_allclose(after, [1.0, 2e-20 / 1.5, 1e-20 / 1.5], rtol=1e-15)


@given(update=updates())
def test_weights_sum_to_1_and_stay_within_0_and_1(update: tuple[Floats, Floats, Floats]) -> None:
    after = updated_in_turn(*update)

    assert after.shape == update[1].shape
    assert ((after >= 0.0) & (after <= 1.0)).all()
    np.testing.assert_allclose(after.sum(axis=1), 1.0, rtol=0, atol=1e-9)


@given(update=updates())
def test_many_updates_at_once_are_as_one_by_one(update: tuple[Floats, Floats, Floats]) -> None:
    weights, predictions, qualities = update
    after = updated_in_turn(weights, predictions, qualities)

    for row, predicted_row, quality in zip(after, predictions, qualities, strict=True):
        weights = updated(weights, predicted_row, float(quality))
        np.testing.assert_array_equal(row, weights)


@given(update=updates(), data=st.data())
def test_weights_do_not_depend_on_how_models_are_numbered(
    update: tuple[Floats, Floats, Floats], data: st.DataObject
) -> None:
    weights, predictions, qualities = update
    other = data.draw(st.permutations(range(len(weights))))

    np.testing.assert_allclose(
        updated_in_turn(weights[other], predictions[:, other], qualities),
        updated_in_turn(weights, predictions, qualities)[:, other],
        rtol=1e-9,
        atol=1e-15,
    )


@given(
    rows=st.lists(
        st.tuples(st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3), shares), max_size=8
    ),
    data=st.data(),
)
def test_end_does_not_depend_on_the_order_of_measurements(
    rows: list[tuple[list[float], float]], data: st.DataObject
) -> None:
    """Where each model predicted and none is ruled out: factors only multiply."""

    def end(of: list[tuple[list[float], float]]) -> Floats:
        weights = np.array([0.2, 0.3, 0.5])
        for predictions, quality in of:
            weights = updated(weights, np.array(predictions), quality)
        return weights

    np.testing.assert_allclose(end(rows), end(data.draw(st.permutations(rows))), rtol=1e-12)


@given(update=updates())
def test_model_without_a_prediction_keeps_its_weight_always(
    update: tuple[Floats, Floats, Floats],
) -> None:
    weights, predictions, qualities = update
    after = updated_in_turn(weights, predictions, qualities)
    before = np.vstack([weights, after])[:-1]

    silent = np.isnan(predictions)
    np.testing.assert_allclose(after[silent], before[silent], rtol=1e-11)


def test_many_updates_leave_no_drift() -> None:
    random = np.random.default_rng(7)
    predictions = random.random((20_000, 4))
    predictions[random.random(predictions.shape) < 0.3] = math.nan

    after = updated_in_turn(np.full(4, 0.25), predictions, random.random(20_000))

    assert ((after >= 0.0) & (after <= 1.0)).all()
    np.testing.assert_allclose(after.sum(axis=1), 1.0, rtol=0, atol=1e-9)


def test_sum_that_has_gone_astray_is_mended() -> None:
    after = updated(np.array([0.2, 0.2]), np.array([math.nan, 0.5]), 0.5)

    np.testing.assert_allclose(after, [0.5, 0.5], rtol=1e-15)


@pytest.mark.parametrize(
    ("given_weights", "expected"),
    [
        ({}, {}),
        ({"a": 0.0}, {"a": 1.0}),
        ({"a": 0.0, "b": 0.0}, {"a": 0.5, "b": 0.5}),
        ({"a": 3.0, "b": 1.0}, {"a": 0.75, "b": 0.25}),
        ({"a": 0.3, "b": 0.7}, {"a": 0.3, "b": 0.7}),
        ({"a": 1e308, "b": 1e308}, {"a": 0.5, "b": 0.5}),
        ({"a": 5e-324, "b": 0.0}, {"a": 1.0, "b": 0.0}),
    ],
    ids=["none", "one zero", "all zero", "scaled", "kept", "huge", "tiny"],
)
def test_initial_weights_sum_to_1(
    given_weights: dict[str, float], expected: dict[str, float]
) -> None:
    assert normalised(given_weights) == expected


@given(weights=st.dictionaries(st.sampled_from("abcde"), raw, min_size=1))
def test_initial_weights_are_weights_and_keep_their_models(weights: dict[str, float]) -> None:
    found = normalised(weights)

    assert list(found) == list(weights)
    assert all(0.0 <= value <= 1.0 for value in found.values())
    assert math.fsum(found.values()) == pytest.approx(1.0, abs=1e-9)
    assert normalised(found) == found


@pytest.mark.parametrize("weight", [-0.1, math.nan, math.inf])
def test_what_is_no_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        normalised({"a": weight, "b": 1.0})
    with pytest.raises(ValueError, match="weight"):
        updated(np.array([weight, 1.0]), np.array([0.5, 0.5]), 0.5)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.inf])
def test_what_is_not_within_0_and_1_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="prediction"):
        updated(np.array([0.5, 0.5]), np.array([value, 0.5]), 0.5)
    with pytest.raises(ValueError, match="quality"):
        updated(np.array([0.5, 0.5]), np.array([0.5, 0.5]), value)


def test_without_a_model_there_is_nothing_to_weigh() -> None:
    assert updated(np.empty(0), np.empty(0), 0.5).shape == (0,)
    assert updated_in_turn(np.array([1.0]), np.empty((0, 1)), np.empty(0)).shape == (0, 1)
