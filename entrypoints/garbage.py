"""How often Python looks for garbage, in processes that handle messages by the thousand."""

import gc
from typing import Final

#: New objects until the youngest are looked through; Python's own 700 is a fraction of a batch.
_YOUNG: Final = 50_000


def collect_rarely() -> None:
    """Leave what is loaded out of all collections, and look through the rest rarely.

    A batch of messages makes tens of thousands of objects that go away by themselves; with
    Python's defaults a third of the time went into looking for cycles among them. Call it
    once everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
