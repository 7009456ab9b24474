"""What the tests of the watcher share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.epu.agent import Agent
from agent.epu.watch import Watcher
from models.cryoem.messages import Message
from tests.support import PATIENCE, wait_until

#: Short, so that tests are; rescans are off unless a test is about them.
FAST: dict[str, Any] = {"settle_seconds": 0.1, "give_up_seconds": 0.6, "rescan_seconds": 600.0}
SQUARE = "Metadata/GridSquare_4590776.dm"
IMAGE = "Images-Disc1/GridSquare_4590776/GridSquare_20240406_102420.xml"
ATLAS = "atlas/Supervisor_20240404_093820_Pete_Miriam_HexAuFoil/Sample4/Atlas/Atlas.dm"


def copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    return target


def copy_tree(source: Path, target: Path) -> Path:
    for path in source.rglob("*"):
        if path.is_file():
            copy(path, target / path.relative_to(source))
    return target


def kinds(messages: Sequence[Message]) -> list[str]:
    return [message.event_type for message in messages]  # pyright: ignore[reportAttributeAccessIssue]


@asynccontextmanager
async def running(one: Watcher | Agent) -> AsyncIterator[asyncio.Task[Any]]:
    """Run a watcher or an agent for the block, and see to it that it ends cleanly."""
    task = asyncio.create_task(one.run())
    try:
        yield task
    finally:
        one.stop()
        await asyncio.wait_for(task, PATIENCE)


async def until(condition: Callable[[], object], what: str) -> None:
    async def holds() -> object:
        return condition()

    await wait_until(holds, what=what)
