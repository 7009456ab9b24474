"""Work that goes on beside other work, and no longer than that."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run something during the block, and end it with the block.

    Raises:
        Exception: What the work raised, where it ended so before the block did.
    """
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        # Waited for like this, a cancellation is told apart from our own, which goes on.
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
