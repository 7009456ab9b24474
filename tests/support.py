"""Small helpers of the tests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

#: How long anything is waited for, seconds: what ought to take twenty has that on a machine at a
#: tenth of its speed as well. Only a failure takes so long.
PATIENCE = 300.0
#: How often a condition is looked at; a deadline, not this, decides a test.
_LOOK_EVERY = 0.05


def wait_for(condition: Callable[[], T], *, what: str = "condition") -> T:
    """Return the condition's first true value; fail the test when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {PATIENCE:.0f} s in vain for {what}; last value: {value!r}"
            )
        time.sleep(_LOOK_EVERY)


async def wait_until(condition: Callable[[], Awaitable[T]], *, what: str = "condition") -> T:
    """Return the awaited condition's first true value; fail the test when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = await condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"waited {PATIENCE:.0f} s in vain for {what}; last value: {value!r}"
            )
        await asyncio.sleep(_LOOK_EVERY)


def selection_ids(decisions: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the ids of the selections among Athena's decisions.

    Each is made once; orders come as often as there is something new to order.
    """
    return [one["id"] for one in decisions if one["decisionType"] != "acquisitionOrder"]
