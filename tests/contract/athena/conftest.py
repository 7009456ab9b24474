"""Fixtures of the tests of Athena's contract."""

from pathlib import Path

import pytest

from tests.contract.athena import vendor


@pytest.fixture(scope="session")
def document(shared: Path) -> vendor.Vendor:
    """The vendor's document."""
    return vendor.Vendor(vendor.load(shared))
