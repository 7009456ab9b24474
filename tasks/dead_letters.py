"""The event that says that messages are dead: one for a batch, however many they are.

Prefect's server takes some hundred events a second and drops what is more.
"""

from collections.abc import Sequence
from typing import Final

DEAD: Final = "athanor.cryoem.message.dead"

#: Name, resource and payload of an event.
Event = tuple[str, str, dict[str, str]]

_LONGEST_REASON: Final = 500


def dead_letters(count: int, *, message_id: str, kind: str, reason: str) -> Event:
    """Return the event for so many dead messages; the rest is about the first of them."""
    payload = {
        "count": str(count),
        "message_id": message_id,
        "kind": kind,
        "reason": reason[:_LONGEST_REASON],
    }
    return DEAD, f"athanor.message.{message_id or 'several'}", payload


def together(events: Sequence[Event]) -> list[Event]:
    """Return events with those of dead messages put into one."""
    dead = [payload for name, _, payload in events if name == DEAD]
    rest = [event for event in events if event[0] != DEAD]
    if not dead:
        return rest
    first = dead[0]
    count = sum(int(payload.get("count", "1")) for payload in dead)
    about = {what: first[what] for what in ("message_id", "kind", "reason")}
    return [*rest, dead_letters(count, **about)]
