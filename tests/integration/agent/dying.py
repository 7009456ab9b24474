"""An agent whose driver kills it: `python -m tests.integration.agent.dying URL FOLDER`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from agent.instructions.received import Instruction
from tests.integration.agent.hands import Hand, receiving


class Killer(Hand):
    """Ends the process where it is, as the power cord does."""

    async def act(self, instruction: Instruction, *, repeated: bool) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return f"never said of {instruction} {repeated}"


async def main() -> None:
    url, folder = sys.argv[1:]
    async with receiving(url, Path(folder), Killer()):
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main())
