"""The agent's receiving side, with a driver that tests look at; knows nothing of the server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from agent.beside import beside
from agent.instructions.channel import Channel
from agent.instructions.driver import Driver, decline_unknown
from agent.instructions.information import Adjustable, Information, Ways
from agent.instructions.journal import Journal
from agent.instructions.performer import Performer
from agent.instructions.received import Instruction
from agent.instructions.receiver import Receiver

AGENT = "epu-agent-1"


@dataclass
class Hand:
    """A driver that notes what it was asked, and may be held up."""

    name: str = "hand"
    asked: list[tuple[str, bool]] = field(default_factory=list)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.may_go_on.set()

    async def act(self, instruction: Instruction, *, repeated: bool) -> str:
        decline_unknown(instruction)
        self.asked.append((instruction.instruction_id, repeated))
        await self.may_go_on.wait()
        if self.error:
            raise self.error
        return "did it"

    async def aclose(self) -> None:
        pass


async def described() -> dict[str, Any]:
    """Say what an agent says of itself."""
    files = {"seen": 3}
    waiting = [{"path": f"/x/{number}.xml", "reason": "r"} for number in range(50)]
    return {"folder": "/x", "files": files, "waiting_files": waiting, "failures": []}


@asynccontextmanager
async def receiving(
    url: str,
    folder: Path,
    driver: Driver,
    *,
    agent: str = AGENT,
    grids: Callable[[], Collection[UUID]] | None = None,
) -> AsyncIterator[Receiver]:
    """Run the receiving side of an agent that keeps its journal in a folder."""
    channel = Channel(url, agent)
    ways = Ways(Adjustable(heartbeat_seconds=1))
    performer = Performer(driver, Information(described, ways), limit_seconds=20)
    with Journal.open(folder / f"{agent}.db") as journal:
        receiver = Receiver(
            channel,
            journal,
            driver,
            performer,
            ways,
            grids=grids,
            look_every=0.1,
            longest_pause=0.2,
        )
        try:
            async with beside(receiver.run()):
                yield receiver
        finally:
            await channel.aclose()
