"""A simulated model is as good as it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from simulators.epu.layout import Place
from simulators.epu.truth import HoleTruth, grow_grid
from simulators.predictors import SimulatedModel, accuracy, noise_for


@pytest.fixture(scope="module")
def grid():
    return grow_grid(5, squares=12, holes=600)


def test_without_noise_it_predicts_the_truth(grid):
    model = SimulatedModel("perfect", noise=0)
    for square in grid.squares:
        predicted = model.predict_holes(square.holes)
        assert predicted == pytest.approx({hole.hole_id: hole.quality for hole in square.holes})
        assert model.predict_square(square) == pytest.approx(square.quality)
    assert accuracy(model, grid) == 1


def test_more_noise_is_less_accurate(grid):
    found = [accuracy(SimulatedModel("m", noise=noise, seed=1), grid) for noise in (0.2, 1, 5)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95


@pytest.mark.parametrize("auc", [0.7, 0.85, 0.95])
def test_noise_can_be_asked_for_by_auc(grid, auc):
    noise = noise_for(auc, grid, seed=2)
    assert accuracy(SimulatedModel("m", noise=noise, seed=2), grid) == pytest.approx(auc, abs=0.02)


@pytest.mark.parametrize("auc", [0.5, 0.2, 1.1])
def test_no_noise_gives_an_impossible_auc(grid, auc):
    with pytest.raises(ValueError, match="AUC"):
        noise_for(auc, grid)


def test_a_grid_without_bad_holes_has_no_auc():
    with pytest.raises(BadInput, match="one kind only"):
        accuracy(SimulatedModel("m"), grow_grid(1, squares=1, holes=1))


def test_the_noise_is_as_stated(grid):
    def log_odds(value):
        return np.log(value / (1 - value))

    model = SimulatedModel("m", noise=0.7, seed=3)
    predicted = model.predict_holes(list(grid.holes))
    moved = [log_odds(predicted[h.hole_id]) - log_odds(h.quality) for h in grid.holes]
    assert np.std(moved) == pytest.approx(0.7, rel=0.1)
    assert np.mean(moved) == pytest.approx(0, abs=0.1)


def test_who_asks_again_gets_the_same_answer(grid):
    first, again = (SimulatedModel("m", noise=1, seed=4) for _ in range(2))
    holes = grid.squares[0].holes
    assert first.predict_holes(holes) == again.predict_holes(holes[::-1])
    assert first.predict_holes(holes) != SimulatedModel("m", noise=1, seed=5).predict_holes(holes)


@given(
    quality=st.floats(0, 1),
    noise=st.floats(0, 1e6),
    seed=st.integers(0, 2**32),
    ident=st.integers(1, 2**31),
)
def test_predictions_are_probabilities(quality, noise, seed, ident):
    hole = HoleTruth(ident, Place(0, 0), False, quality)
    (value,) = SimulatedModel("m", noise=noise, seed=seed).predict_holes([hole]).values()
    assert 0 <= value <= 1


@pytest.mark.parametrize("noise", [-1, float("nan")])
def test_noise_that_is_no_deviation_is_refused(noise):
    with pytest.raises(ValueError, match="deviation"):
        SimulatedModel("m", noise=noise)
