"""A hole's score is the geometric mean over metrics of what the models say, weighed."""

import math
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.cryoem.planning import Floats
from domains.cryoem.scores import overall

nan = math.nan
shares = st.floats(0.0, 1.0)


@st.composite
def grids(draw: st.DrawFn) -> tuple[Floats, Floats]:
    models, metrics, holes = (draw(st.integers(0, 4)) for _ in range(3))
    size = models * metrics * holes
    values = draw(st.lists(shares | st.just(nan), min_size=size, max_size=size))
    raw = draw(st.lists(st.floats(0.0, 1.0), min_size=models * metrics, max_size=models * metrics))
    weights = np.array(raw).reshape(models, metrics)
    weights /= np.maximum(weights.sum(axis=0), 1e-300)
    return np.array(values).reshape(models, metrics, holes), weights


def test_score_is_the_geometric_mean_over_metrics() -> None:
    # 0.75·0.8 + 0.25·0.4 = 0.7 and 0.5·0.2 + 0.5·0.6 = 0.4: √0.28.
    predictions = np.array([[[0.8], [0.2]], [[0.4], [0.6]]])
    weights = np.array([[0.75, 0.5], [0.25, 0.5]])

    np.testing.assert_allclose(overall(predictions, weights), [math.sqrt(0.28)], rtol=1e-15)


def test_missing_prediction_counts_as_one_half() -> None:
    # 0.75·0.8 + 0.25·0.5, and nothing but 0.5.
    predictions = np.array([[[0.8, nan]], [[nan, nan]]])

    scores = overall(predictions, np.array([[0.75], [0.25]]))

    np.testing.assert_allclose(scores, [0.725, 0.5], rtol=1e-15)


def test_metric_that_no_model_predicts_counts_as_one_half() -> None:
    predictions = np.array([[[0.8], [nan]]])

    for weights in ([[1.0, 1.0]], [[1.0, 0.0]], [[1.0, nan]]):
        np.testing.assert_allclose(overall(predictions, np.array(weights)), [math.sqrt(0.4)])


def test_certainly_bad_in_one_metric_is_bad() -> None:
    predictions = np.array([[[0.0], [1.0]]])

    assert overall(predictions, np.ones((1, 2))).tolist() == [0.0]


@pytest.mark.parametrize("shape", [(0, 3, 2), (4, 0, 2), (0, 0, 2), (4, 3, 0), (0, 0, 0)])
def test_without_models_or_metrics_each_hole_is_as_likely_good_as_not(
    shape: tuple[int, int, int],
) -> None:
    scores = overall(np.empty(shape), np.empty(shape[:2]))

    np.testing.assert_allclose(scores, np.full(shape[2], 0.5), rtol=1e-15)


@given(grid=grids())
def test_score_is_within_0_and_1_and_never_nan(grid: tuple[Floats, Floats]) -> None:
    scores = overall(*grid)

    assert scores.shape == grid[0].shape[2:]
    assert ((scores >= 0.0) & (scores <= 1.0)).all()


@given(grid=grids(), data=st.data())
def test_score_does_not_depend_on_how_models_metrics_and_holes_are_numbered(
    grid: tuple[Floats, Floats], data: st.DataObject
) -> None:
    predictions, weights = grid
    models, metrics, holes = (data.draw(st.permutations(range(size))) for size in predictions.shape)

    shuffled = predictions[models][:, metrics][:, :, holes]
    other = overall(shuffled, weights[models][:, metrics])

    np.testing.assert_allclose(other, overall(predictions, weights)[holes], rtol=1e-12, atol=1e-300)


@given(grid=grids(), rise=shares)
def test_better_prediction_never_lowers_a_score(grid: tuple[Floats, Floats], rise: float) -> None:
    predictions, weights = grid

    better = overall(predictions + (1.0 - predictions) * rise, weights)

    assert (better >= overall(predictions, weights) * (1.0 - 1e-12)).all()


@given(value=st.floats(1e-300, 1.0), metrics=st.integers(1, 50))
def test_same_value_everywhere_is_the_score(value: float, metrics: int) -> None:
    scores = overall(np.full((1, metrics, 1), value), np.ones((1, metrics)))

    np.testing.assert_allclose(scores, [value], rtol=1e-9)


def test_predictions_are_left_as_they_are() -> None:
    predictions = np.array([[[0.8, nan]]])
    predictions.setflags(write=False)

    overall(predictions, np.ones((1, 1)))


def test_whole_grid_is_scored_in_a_blink() -> None:
    random = np.random.default_rng(3)
    predictions = random.random((4, 3, 40_000))
    predictions[random.random(predictions.shape) < 0.1] = nan

    started = process_time()
    scores = overall(predictions, np.full((4, 3), 0.25))

    assert process_time() - started < 0.1
    assert np.isfinite(scores).all()
