"""Which version of Athanor this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """Return the installed version."""
    try:
        return installed("athanor")
    except PackageNotFoundError:
        return "unknown"
