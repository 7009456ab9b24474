"""Simulated grids that the tests of this folder share."""

import pytest

from simulators.epu.truth import GridTruth, grow_grid


@pytest.fixture(scope="session")
def grid() -> GridTruth:
    # 40 squares lie on several tiles, some on two.
    return grow_grid(3, squares=40, holes=1_000)
