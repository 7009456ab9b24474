"""The flow that `benchmarks.ring` rings for: it notes when its code was reached."""

import time
from contextvars import ContextVar

from prefect import flow

#: Moments by `time.perf_counter`, by the ring's number.
REACHED: ContextVar[dict[int, float]] = ContextVar("reached")


@flow
async def probe(number: int) -> None:
    """Note the moment."""
    REACHED.get()[number] = time.perf_counter()
