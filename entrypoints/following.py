"""Have the audit tell of what a command changes, as it does of requests."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from core.caller import SYSTEM, asking
from entrypoints.current import running
from models import audit


@contextmanager
def followed() -> Iterator[None]:
    """Write down what the command that runs changes, as done by who ran it."""
    command = running()
    if command is None:
        yield
        return
    trail = audit.elsewhere("command", command.name, about=command.about)
    with asking(replace(SYSTEM, name=_who())), audit.following(trail):
        yield


def _who() -> str:
    """Return the name that the operating system knows this person by."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "somebody at the command line"
