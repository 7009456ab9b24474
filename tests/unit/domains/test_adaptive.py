"""The adaptive planner orders any grid, learns from outcomes, and weighs what moves cost."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.cryoem.adaptive import Adaptive
from domains.cryoem.belief import believe
from domains.cryoem.moves import move_minutes
from domains.cryoem.planners import PlannerName, planner_of
from domains.cryoem.planning import GridState, MoveCosts, Plan, Planner, minutes_left
from tests.unit.domains.planned import any_grid, lattice


def chance(grid: GridState) -> np.ndarray:
    return believe(grid).chance()[0]


@given(any_grid(), st.sampled_from([0.0, 30.0, 1440.0, math.inf]))
@settings(max_examples=60, deadline=None)
def test_a_plan_is_a_permutation_of_the_eligible_holes_and_never_nan(grid: GridState, left: float):
    plan = Adaptive(minutes=left)(grid)
    assert sorted(plan.order) == list(np.flatnonzero(grid.eligible))
    assert np.all((plan.expected >= 0) & (plan.expected <= 1))
    assert np.all((plan.uncertainty >= 0) & (plan.uncertainty <= 0.5))
    square, patch = grid.square[plan.order], grid.patch[plan.order]
    np.testing.assert_array_equal(plan.cost, move_minutes(square, patch, grid.here, MoveCosts()))


@given(any_grid())
@settings(max_examples=15, deadline=None)
def test_the_same_grid_gives_the_same_plan(grid: GridState):
    one, other = Adaptive()(grid), Adaptive()(grid)
    for name in ("order", "expected", "uncertainty", "cost"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_it_is_a_planner():
    planner: Planner = Adaptive(MoveCosts(same_patch=1.0))
    assert isinstance(planner(lattice()), Plan)


def test_an_empty_grid_has_an_empty_plan():
    plan = Adaptive()(lattice(squares=0))
    assert [len(plan.order), len(plan.expected), len(plan.uncertainty), len(plan.cost)] == [0] * 4


def test_one_hole_without_models_is_as_likely_good_as_not():
    plan = Adaptive()(lattice(squares=1, side=1))
    assert plan.order.tolist() == [0]
    assert plan.expected[0] == pytest.approx(0.5)
    assert plan.uncertainty[0] > 0.2
    assert plan.cost.tolist() == [MoveCosts().other_grid]


def test_without_measurements_it_goes_by_the_predictions():
    predicted = np.random.default_rng(1).random(144)
    expected = chance(lattice(predictions=predicted.reshape(1, 1, -1)))
    assert np.corrcoef(expected, predicted)[0, 1] > 0.9


def measured_in(square: int, good: float, patch: int = 0) -> GridState:
    grid = lattice()
    patches = np.unique(grid.patch[grid.square == square])
    outcome = np.where(grid.patch == patches[patch], good, np.nan)
    return lattice(outcome=outcome)


def test_bad_outcomes_lower_the_square_its_neighbours_and_less_what_is_far():
    grid = measured_in(0, 0.0)
    before, after = chance(lattice()), chance(grid)
    open_ = np.isnan(grid.outcome)
    fall = [float((before - after)[open_ & (grid.square == square)].mean()) for square in range(4)]
    assert fall[0] > fall[1] > fall[2] > fall[3] > 0


def test_good_outcomes_are_followed():
    grid = measured_in(1, 1.0)
    assert grid.square[Adaptive(minutes=60.0)(grid).order[0]] == 1


def test_what_was_measured_is_known_better():
    before, after = believe(lattice()).chance()[1], believe(measured_in(1, 1.0)).chance()[1]
    grid = lattice()
    assert np.all(after[grid.square == 1] < before[grid.square == 1])


def biased_grid() -> tuple[GridState, np.ndarray]:
    """Return a grid that one model sees upside down, and the truth, a third of it measured."""
    random = np.random.default_rng(3)
    holes = 8 * 36
    truth = random.random(holes)
    good = truth > 0.5
    predicted = 1 - np.clip(truth + random.normal(0, 0.1, holes), 0.01, 0.99)
    outcome = np.where(random.random(holes) < 0.33, good.astype(float), np.nan)
    return lattice(8, predictions=predicted.reshape(1, 1, -1), outcome=outcome), good


def test_a_model_that_is_upside_down_is_turned_round():
    grid, good = biased_grid()
    expected, open_ = chance(grid), np.isnan(grid.outcome)
    assert expected[open_ & good].mean() > expected[open_ & ~good].mean() + 0.3


@pytest.mark.parametrize("slope", [0.2, 4.0])
@pytest.mark.parametrize("offset", [-2.0, 2.0])
def test_a_models_slope_and_offset_make_no_difference(slope: float, offset: float):
    random = np.random.default_rng(4)
    seen = random.normal(0, 0.3, (1, 1, 144))
    outcome = np.where(random.random(144) < 0.2, (seen[0, 0] > 0).astype(float), np.nan)
    plain = lattice(predictions=1 / (1 + np.exp(-seen)), outcome=outcome)
    moved = lattice(predictions=1 / (1 + np.exp(-slope * seen - offset)), outcome=outcome)
    np.testing.assert_allclose(chance(moved), chance(plain), atol=1e-3)


def test_a_model_that_is_better_than_others_is_found_out():
    random = np.random.default_rng(5)
    truth = random.normal(size=8 * 36)
    blind = random.normal(size=(3, 8 * 36))
    predictions = 1 / (1 + np.exp(-np.vstack([truth, blind])))[:, None, :]
    outcome = np.where(random.random(8 * 36) < 0.4, (truth > 0).astype(float), np.nan)
    open_ = np.isnan(outcome)
    before = chance(lattice(8, predictions=predictions))
    after = chance(lattice(8, predictions=predictions, outcome=outcome))
    assert np.corrcoef(after[open_], truth[open_])[0, 1] > 0.8
    assert np.corrcoef(before[open_], truth[open_])[0, 1] < 0.65


def test_models_out_of_force_are_not_asked():
    predicted = np.random.default_rng(6).random((2, 1, 144))
    grid = lattice(predictions=predicted)
    grid.weights[:, 0] = [0.0, 1.0]
    assert np.corrcoef(chance(grid), predicted[1, 0])[0, 1] > 0.9


def test_expected_probabilities_are_calibrated():
    expected, truth = [], []
    for seed in range(6):
        random = np.random.default_rng(seed)
        odds = random.normal(0, 1, 8)[np.repeat(np.arange(8), 36)] + random.normal(0, 1, 288)
        good = random.random(288) < 1 / (1 + np.exp(-1.5 * odds))
        predicted = 1 / (1 + np.exp(-odds))
        outcome = np.where(random.random(288) < 0.4, good.astype(float), np.nan)
        grid = lattice(8, predictions=predicted.reshape(1, 1, -1), outcome=outcome)
        open_ = np.isnan(outcome)
        expected.append(chance(grid)[open_])
        truth.append(good[open_])
    all_expected, all_truth = np.concatenate(expected), np.concatenate(truth)
    for low in (0.0, 0.25, 0.5, 0.75):
        there = (all_expected >= low) & (all_expected <= low + 0.25)
        assert all_truth[there].mean() == pytest.approx(all_expected[there].mean(), abs=0.08)


def test_many_measured_patches_are_pooled_by_square():
    grid = lattice(12, 18, outcome=np.where(np.arange(12 * 324) % 2, 1.0, np.nan))
    plan = Adaptive()(grid)
    assert len(plan.order) == 12 * 162
    assert plan.expected.min() > 0.8


def test_hope_looks_where_little_is_known_and_fades_with_the_time_that_is_left():
    # Square 0 is known to be fair; of the others nothing is known, and the model thinks less.
    grid = lattice(predictions=np.where(np.arange(144) < 36, 0.6, 0.45).reshape(1, 1, -1))
    outcome = np.where((grid.square == 0) & (np.arange(144) % 9 < 6), 1.0, np.nan)
    outcome[:36:4] = 0.0
    known = lattice(predictions=grid.predictions, outcome=outcome, here=(0, 0))
    near_end = Adaptive(minutes=10.0, hope=3.0)(known)
    assert known.square[near_end.order[0]] == 0
    eager, wary = (Adaptive(minutes=2e4, hope=hope)(known) for hope in (3.0, 0.0))
    first = [int(np.flatnonzero(known.square[plan.order] != 0)[0]) for plan in (eager, wary)]
    assert first[0] <= first[1]


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        (None, 48 * 60),
        (timedelta(hours=-1), 48 * 60),
        (timedelta(), 48 * 60),
        (timedelta(hours=20, minutes=30), 27.5 * 60),
        (timedelta(hours=47, minutes=30), 60),
        (timedelta(days=9), 60),
    ],
    ids=["nobody told when", "clocks differ", "now", "midway", "nearly over", "beyond its time"],
)
def test_time_left_is_counted_from_the_beginning(gone: timedelta | None, left: float):
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    began = None if gone is None else now - gone
    assert minutes_left(began, now, hours=48) == left
    assert planner_of(PlannerName.ADAPTIVE, minutes=left) == Adaptive(minutes=left)
