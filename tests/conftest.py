"""Fixtures that every ring of tests may use."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = [
    "tests.browser_fixtures",
    "tests.database_fixtures",
    "tests.prefect_fixtures",
    "tests.rabbitmq_fixtures",
    "tests.redis_fixtures",
    "tests.session_fixtures",
]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of contracts and real EPU files beside the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(
            "needs the project's shared folder (contracts and EPU files) beside the repository"
        )
    return folder
