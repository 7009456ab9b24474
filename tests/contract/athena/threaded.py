"""The simulator in a thread of its own, for clients that are not async."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from simulators.athena import running
from tests.support import PATIENCE


@contextmanager
def running_in_thread() -> Iterator[str]:
    """Run a simulator and give its address."""
    started: Future[str] = Future()
    stop = threading.Event()

    async def run() -> None:
        async with running() as simulator:
            started.set_result(simulator.url)
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield started.result(timeout=PATIENCE)
    finally:
        stop.set()
        thread.join()
