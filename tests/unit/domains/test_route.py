"""A route takes what pays in the time that is left, and everything else after it."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.cryoem.moves import move_minutes
from domains.cryoem.planning import MoveCosts
from domains.cryoem.route import Stops, route

COSTS = MoveCosts()


def stops_of(
    gain: list[float], patch: list[int], square: list[int], here: tuple[int, int] | None = (9, 9)
) -> Stops:
    return Stops(np.array(gain), np.array(square)[patch], np.array(patch), here)


def collected(stops: Stops, order: np.ndarray, minutes: float) -> float:
    cost = move_minutes(stops.square[order], stops.patch[order], stops.here, COSTS)
    return float(stops.gain[order][np.cumsum(cost) <= minutes].sum())


@st.composite
def some_stops(draw: st.DrawFn, most: int) -> Stops:
    size = draw(st.integers(1, most))
    patch = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    gain = draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=size, max_size=size))
    here = draw(st.sampled_from([None, (0, 0), (0, 1), (1, 2), (7, 7)]))
    return stops_of(gain, patch, [0, 0, 1, 1], here)


@given(some_stops(40), st.floats(0, 500))
@settings(deadline=None)
def test_a_route_has_every_stop_once(stops: Stops, minutes: float):
    assert sorted(route(stops, COSTS, minutes)) == list(range(len(stops.gain)))


@given(some_stops(6), st.sampled_from([20.0, 30.0, 45.0]))
@settings(max_examples=40, deadline=None)
def test_a_route_is_near_the_best_of_all_orders(stops: Stops, minutes: float):
    orders = [np.array(order) for order in permutations(range(len(stops.gain)))]
    best = max(collected(stops, order, minutes) for order in orders)
    # What the last moves cannot fill is lost to a plan by rates: one patch of a few holes here.
    assert collected(stops, route(stops, COSTS, minutes), minutes) >= best - 2.0


def test_a_patch_of_many_fair_holes_is_worth_more_than_one_good_hole():
    stops = stops_of([0.9, *[0.7] * 8], [0, *[1] * 8], [0, 1])
    assert stops.patch[route(stops, COSTS, 30.0)[0]] == 1


def test_poor_holes_are_left_for_later_when_time_is_short():
    stops = stops_of([0.9, 0.1] * 20, [0, 0, 1, 1] * 10, [0, 0])
    order = route(stops, COSTS, 60.0)
    assert np.all(stops.gain[order[:20]] == 0.9)


def test_where_the_stage_is_comes_first_as_long_as_it_pays():
    stops = stops_of([0.6, 0.6, 0.7, 0.7], [0, 0, 1, 1], [0, 1], (0, 0))
    assert route(stops, COSTS, 8.0).tolist() == [0, 1, 2, 3]


def test_a_place_that_no_longer_pays_is_left():
    stops = stops_of([0.05, 0.05, *[1.0] * 20], [0, 0, *[1] * 20], [0, 1], (0, 0))
    assert stops.patch[route(stops, COSTS, 40.0)[0]] == 1


@pytest.mark.parametrize("minutes", [0.0, 10.0, float("inf")])
def test_no_stops_give_no_route(minutes: float):
    nothing = np.empty(0, dtype=np.int64)
    stops = Stops(np.empty(0), nothing, nothing, None)
    assert route(stops, COSTS, minutes).tolist() == []
