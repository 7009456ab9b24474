"""Which command runs, for what writes down what it changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

from typer.core import TyperGroup


@dataclass(frozen=True)
class Running:
    """A command that runs."""

    name: str
    #: The first thing that it was given: what it is about.
    about: object


_running: ContextVar[Running | None] = ContextVar("athanor_running", default=None)


def running() -> Running | None:
    """Return the command that runs in this process; None where it is run otherwise."""
    return _running.get()


def remembering(command: Any, name: str) -> None:
    """Have a command of typer's, or each of a group, be known while it runs."""
    if isinstance(command, TyperGroup):
        for part, below in command.commands.items():
            remembering(below, f"{name} {part}")
        return
    call = command.callback
    assert call is not None  # noqa: S101 (each of ours does something)
    arguments = [one.name for one in command.params if one.param_type_name == "argument"]

    @wraps(call)
    def called(**given: Any) -> Any:
        about = given.get(arguments[0] or "") if arguments else None
        with _remembered(Running(name, about)):
            return call(**given)

    command.callback = called


@contextmanager
def _remembered(one: Running) -> Iterator[None]:
    token = _running.set(one)
    try:
        yield
    finally:
        _running.reset(token)
