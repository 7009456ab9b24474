"""A patch is what the beam reaches from one place of the stage."""

import math
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.cryoem.patches import REACH, patches
from domains.cryoem.planning import Floats, Integers

nan = math.nan
micrometres = st.floats(-60.0, 60.0) | st.just(nan)
grids = st.lists(st.tuples(st.integers(0, 3), micrometres, micrometres), max_size=40)


def holes_of(grid: list[tuple[int, float, float]]) -> tuple[Floats, Integers]:
    place = np.array([(x * 1e-6, y * 1e-6) for _, x, y in grid]).reshape(-1, 2)
    return place, np.array([square for square, _, _ in grid], dtype=np.int64)


def lattice(side: int, pitch: float) -> Floats:
    steps: Floats = np.arange(side, dtype=np.float64) * pitch
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def test_nine_holes_of_the_usual_foil_are_one_patch() -> None:
    place = lattice(3, 2.5e-6) + np.array([1e-4, -3e-4])

    assert patches(place, np.zeros(9, dtype=np.int64)).tolist() == [0] * 9


def test_holes_out_of_reach_of_each_other_are_patches_of_their_own() -> None:
    place = np.array([[0.0, 0.0], [20e-6, 0.0], [0.0, 1e-6]])

    first, far, second = patches(place, np.zeros(3, dtype=np.int64), reach=5e-6)

    assert first == second != far


def test_holes_of_two_squares_are_never_one_patch() -> None:
    assert patches(np.zeros((3, 2)), np.array([7, 2, 7])).tolist() == [1, 0, 1]


def test_holes_whose_place_is_not_known_are_one_patch_of_their_square() -> None:
    place = np.array([[nan, nan], [nan, 0.0], [0.0, 0.0], [nan, nan]])

    found = patches(place, np.array([0, 0, 0, 1]))

    assert found.tolist() == [1, 1, 0, 2]


@given(grid=grids, reach=st.floats(0.1e-6, 50e-6))
def test_patch_lies_in_one_square_and_within_reach(
    grid: list[tuple[int, float, float]], reach: float
) -> None:
    place, square = holes_of(grid)
    found = patches(place, square, reach=reach)

    for patch in range(found.max(initial=-1) + 1):
        inside = found == patch
        assert len(set(square[inside].tolist())) == 1
        known = place[inside & np.isfinite(place).all(axis=1)]
        apart = np.linalg.norm(known[:, None] - known[None], axis=-1)
        assert (apart <= 2 * reach * (1 + 1e-9)).all()


def test_every_corner_of_a_patch_is_within_reach() -> None:
    place = lattice(101, 0.3e-6)
    found = patches(place, np.zeros(len(place), dtype=np.int64), reach=5e-6)

    for patch in range(found.max() + 1):
        inside = place[found == patch]
        apart = np.linalg.norm(inside[:, None] - inside[None], axis=-1)
        assert apart.max() <= 10e-6 * (1 + 1e-9)


@given(grid=grids)
def test_patches_are_numbered_without_gaps_square_by_square(
    grid: list[tuple[int, float, float]],
) -> None:
    place, square = holes_of(grid)
    found = patches(place, square)

    assert sorted(set(found.tolist())) == list(range(found.max(initial=-1) + 1))
    assert (np.diff(square[np.argsort(found, kind="stable")]) >= 0).all()


@given(grid=grids, data=st.data())
def test_patches_do_not_depend_on_how_holes_are_numbered(
    grid: list[tuple[int, float, float]], data: st.DataObject
) -> None:
    place, square = holes_of(grid)
    other = np.array(data.draw(st.permutations(range(len(grid)))), dtype=np.int64)

    assert patches(place[other], square[other]).tolist() == patches(place, square)[other].tolist()


@given(grid=grids, beside=grids)
def test_patches_of_a_square_do_not_depend_on_other_squares(
    grid: list[tuple[int, float, float]], beside: list[tuple[int, float, float]]
) -> None:
    place, square = holes_of(grid)
    more_place, more_square = holes_of(beside)

    together = patches(
        np.concatenate([place, more_place]), np.concatenate([square, more_square + 4])
    )

    assert together[: len(grid)].tolist() == patches(place, square).tolist()


def test_square_is_covered_with_few_patches() -> None:
    # 17 x 17 holes over 40 x 40 µm. A hexagon holds 65 µm²; the rim takes some more.
    found = patches(lattice(17, 2.5e-6), np.zeros(289, dtype=np.int64), reach=REACH)

    assert found.max() + 1 <= 40


@pytest.mark.parametrize("reach", [0.0, -1e-6, nan, math.inf])
def test_what_is_no_reach_is_refused(reach: float) -> None:
    with pytest.raises(ValueError, match="reach"):
        patches(np.zeros((1, 2)), np.zeros(1, dtype=np.int64), reach=reach)


def test_whole_grid_is_divided_in_a_blink() -> None:
    random = np.random.default_rng(6)
    square = random.integers(0, 100, 40_000)
    place = random.uniform(0, 45e-6, (40_000, 2)) + square[:, None] * 1e-4

    def seconds() -> float:
        started = process_time()
        patches(place, square)
        return process_time() - started

    assert min(seconds() for _ in range(3)) < 0.2
