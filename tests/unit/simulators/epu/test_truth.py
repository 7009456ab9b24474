"""A simulated grid is plausible, and the same for the same seed."""

from itertools import combinations

import numpy as np
import pytest

from simulators.epu.layout import PITCH, SIDE
from simulators.epu.truth import grow_grid


def test_the_same_seed_gives_the_same_grid():
    assert grow_grid(7) == grow_grid(7)
    assert grow_grid(7) != grow_grid(8)


@pytest.mark.parametrize(("squares", "holes"), [(1, 1), (12, 600), (7, 7), (30, 1_001)])
def test_a_grid_has_as_many_squares_and_holes_as_asked_for(squares, holes):
    grid = grow_grid(2, squares=squares, holes=holes)
    assert len(grid.squares) == squares
    assert len(list(grid.holes)) == holes
    assert all(square.holes for square in grid.squares)


@pytest.mark.parametrize(("squares", "holes"), [(0, 10), (5, 4)])
def test_a_grid_without_squares_or_a_square_without_holes_is_refused(squares, holes):
    with pytest.raises(ValueError, match="squares"):
        grow_grid(1, squares=squares, holes=holes)


def test_ids_come_from_one_counter(grid):
    ids = [
        grid.session_id,
        grid.atlas_id,
        *(tile.tile_id for tile in grid.tiles),
        *(square.square_id for square in grid.squares),
        *(square.collection_id for square in grid.squares),
        *(hole.hole_id for hole in grid.holes),
    ]
    assert len(set(ids)) == len(ids)
    assert max(ids) < 2**31
    last_square = max(square.square_id for square in grid.squares)
    assert all(hole.hole_id > last_square for hole in grid.holes)


def test_squares_lie_on_a_round_grid_a_pitch_apart(grid):
    places = [square.place for square in grid.squares]
    nearest = min(np.hypot(a.x - b.x, a.y - b.y) for a, b in combinations(places, 2))
    assert nearest == pytest.approx(PITCH)
    # 40 squares in a circle of radius r: 40 pitch² = pi r².
    radius = max(np.hypot(place.x, place.y) for place in places)
    assert radius < 1.35 * PITCH * (40 / np.pi) ** 0.5


def test_holes_lie_in_the_opening_a_spacing_apart(grid):
    for square in grid.squares:
        offsets = [hole.offset for hole in square.holes]
        assert all(max(abs(place.x), abs(place.y)) < SIDE / 2 for place in offsets)
        nearest = min(np.hypot(a.x - b.x, a.y - b.y) for a, b in combinations(offsets, 2))
        assert nearest == pytest.approx(square.hole_spacing)


def test_some_holes_are_near_a_bar_and_most_are_not(grid):
    near = [hole.near_bar for hole in grid.holes]
    assert 0.05 < np.mean(near) < 0.5


def test_holes_of_a_square_are_more_alike_than_holes_of_the_grid(grid):
    everywhere = np.var([hole.quality for hole in grid.holes])
    within = np.mean([np.var([hole.quality for hole in s.holes]) for s in grid.squares])
    assert within < 0.7 * everywhere
    assert all(0 < hole.quality < 1 for hole in grid.holes)


def test_neighbouring_holes_are_more_alike_than_distant_ones():
    grid = grow_grid(11, squares=20, holes=4_000)
    near, far = [], []
    for square in grid.squares:
        inner = [hole for hole in square.holes if not hole.near_bar]
        for one, other in combinations(inner, 2):
            distance = np.hypot(one.offset.x - other.offset.x, one.offset.y - other.offset.y)
            if distance < 1.5 * square.hole_spacing:
                near.append((one.quality - other.quality) ** 2)
            elif distance > 15e-6:
                far.append((one.quality - other.quality) ** 2)
    assert np.mean(near) < 0.7 * np.mean(far)


def test_a_grid_has_good_and_bad_holes(grid):
    good = np.mean([hole.quality > 0.5 for hole in grid.holes])
    assert 0.2 < good < 0.8
