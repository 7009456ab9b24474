"""The simulated session is as it says: truth, predictors, costs and results."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from domains.cryoem.adaptive import Adaptive
from domains.cryoem.classic import plan_classic
from domains.cryoem.moves import move_minutes
from domains.cryoem.planning import GridState, MoveCosts, Plan
from simulators.yields import (
    CUT_OFF,
    GOLD,
    HOLEY_CARBON,
    KINDS,
    Grid,
    GridKind,
    area_under_curve,
    collect,
    grow,
    predict,
    worth,
)
from simulators.yields.grid import METRICS
from simulators.yields.planners import EpuOrder, Oracle, RandomOrder

HOURS_4 = 240.0


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def grid(request: pytest.FixtureRequest) -> Grid:
    return grow(request.param, 3)


@pytest.fixture(scope="module")
def predictions(grid: Grid) -> np.ndarray:
    return predict(grid, 0.75, 3).value


def test_a_seed_grows_one_grid(grid: Grid):
    again = grow(grid.kind, 3)
    np.testing.assert_array_equal(again.value, grid.value)
    assert not np.array_equal(grow(grid.kind, 4).value, grid.value)


def test_good_is_a_resolution_up_to_the_cut_off(grid: Grid):
    assert np.array_equal(grid.good, grid.value[METRICS.index("ctfmaxresolution")] <= CUT_OFF)
    assert np.all(grid.value > 0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_over_many_grids_as_many_are_good_as_stated(kind: GridKind):
    good = np.mean([grow(kind, seed).good.mean() for seed in range(12)])
    assert good == pytest.approx(kind.good, abs=0.1)


def test_holes_of_a_square_are_alike_and_more_so_on_carbon():
    between = []
    for kind in (HOLEY_CARBON, GOLD):
        shares = []
        for seed in range(4):
            grid = grow(kind, seed)
            rows = grid.latent[0].reshape(len(grid.square_place), -1)
            shares.append(rows.mean(axis=1).var() / rows.var())
        between.append(np.mean(shares))
    assert between[0] > between[1] > 0.2


@pytest.mark.parametrize("auc", [0.6, 0.75, 0.9])
def test_each_predictor_has_the_stated_auc(grid: Grid, auc: float):
    predicted = predict(grid, auc, 3)
    for model in range(predicted.value.shape[0]):
        for metric in range(predicted.value.shape[1]):
            value = predicted.value[model, metric]
            speaks = np.isfinite(value)
            found = roc_auc_score(grid.fine[metric][speaks], value[speaks])
            assert found == pytest.approx(auc, abs=0.005)
            assert found == pytest.approx(predicted.auc[model, metric], abs=1e-6)


def test_predictors_are_calibrated_differently_and_one_is_silent_here_and_there(
    predictions: np.ndarray,
):
    means = np.nanmean(predictions, axis=(1, 2))
    spreads = np.nanstd(predictions, axis=(1, 2))
    assert np.ptp(means) > 0.3
    assert spreads.max() > 2 * spreads.min()
    assert np.isnan(predictions).any(axis=(1, 2)).tolist() == [False, False, False, True]
    assert np.nanmin(predictions) >= 0
    assert np.nanmax(predictions) <= 1


@pytest.mark.parametrize("auc", [0.5, 0.3, 1.0])
def test_no_noise_gives_an_impossible_auc(grid: Grid, auc: float):
    with pytest.raises(ValueError, match="AUC"):
        predict(grid, auc, 1)


def test_without_holes_of_both_kinds_the_auc_is_even():
    assert area_under_curve(np.arange(3.0), np.ones(3, dtype=np.bool_)) == 0.5


def test_micrographs_take_the_minutes_that_their_moves_cost(grid: Grid, predictions: np.ndarray):
    run = collect(grid, predictions, lambda left: Adaptive(minutes=left), minutes=HOURS_4)
    costs = move_minutes(grid.square[run.hole], grid.patch[run.hole], None, MoveCosts())
    np.testing.assert_allclose(run.minutes, np.cumsum(costs))
    assert run.minutes[-1] <= HOURS_4
    assert len(np.unique(run.hole)) == len(run.hole)
    np.testing.assert_array_equal(run.good, grid.good[run.hole])
    assert run.good_by(np.array([0.0, HOURS_4])).tolist() == [0, run.good.sum()]


def test_a_planner_sees_results_five_minutes_old_and_not_the_truth(
    grid: Grid, predictions: np.ndarray
):
    seen: list[tuple[float, GridState]] = []

    def watched(left: float):
        def plan(state: GridState) -> Plan:
            seen.append((HOURS_4 - left, state))
            return plan_classic(state)

        return plan

    run = collect(grid, predictions, watched, minutes=HOURS_4)
    assert len(seen) > 5
    for now, state in seen:
        measured = np.isfinite(state.outcome)
        assert set(np.flatnonzero(measured)) == set(run.hole[run.minutes + 5 <= now])
        np.testing.assert_array_equal(state.outcome[measured], grid.good[measured])
        assert not np.any(state.eligible & measured)
        np.testing.assert_allclose(state.weights.sum(axis=0), 1)
    assert not np.allclose(seen[0][1].weights, seen[-1][1].weights)


def test_a_small_grid_is_collected_to_its_end():
    kind = GridKind("tiny", 2, 1, 3, 4e-6, 0.5, 0.25, 0.25, 0.25, 0.25)
    grid = grow(kind, 1)
    nothing = np.empty((0, 0, 18))
    run = collect(grid, nothing, lambda left: Adaptive(minutes=left), minutes=1440)
    assert sorted(run.hole) == list(range(18))


def test_epus_order_takes_square_after_square_and_leaves_nothing_out(
    grid: Grid, predictions: np.ndarray
):
    run = collect(grid, predictions, lambda _: EpuOrder(), minutes=HOURS_4, replan_minutes=math.inf)
    holes = np.arange(len(grid.square))
    order = np.lexsort((holes, grid.patch, grid.square))
    np.testing.assert_array_equal(run.hole, order[: len(run.hole)])
    raster = collect(
        grid,
        predictions,
        lambda _: EpuOrder(clusters=False),
        minutes=HOURS_4,
        replan_minutes=math.inf,
    )
    np.testing.assert_array_equal(raster.hole, holes[: len(raster.hole)])
    assert len(raster.hole) < len(run.hole)


def test_the_oracle_is_better_than_all_others(grid: Grid, predictions: np.ndarray):
    def good(planner_for) -> int:
        return int(collect(grid, predictions, planner_for, minutes=HOURS_4).good.sum())

    oracle = good(lambda left: Oracle(grid.good, left))
    adaptive = good(lambda left: Adaptive(minutes=left))
    assert oracle >= adaptive > good(lambda _: RandomOrder(1))
    assert adaptive > good(lambda _: plan_classic)


def test_what_deciding_is_worth_can_be_said():
    found = worth(7, minutes=HOURS_4)
    assert found == worth(7, minutes=HOURS_4)
    assert found.adaptive > found.epu
    assert found.in_words() == (
        f"4 simulated hours on holey carbon: {found.adaptive} good micrographs in the adaptive "
        f"order, {found.classic} in the classic one, {found.epu} in EPU's own"
    )
