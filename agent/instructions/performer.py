"""Acts on one instruction and says what came of it, whatever goes wrong."""

import asyncio
import logging
import time

from agent.instructions.driver import Driver
from agent.instructions.information import LONGEST, Information
from agent.instructions.received import Ended, Ending, Instruction, InstructionDeclined
from core import metrics
from core.clock import as_text, utcnow
from core.errors import AthanorError

logger = logging.getLogger(__name__)

#: What a driver gets of instructions; all others are asked of the agent itself.
_CONTROL = "microscope.control."


class Performer:
    """Hands instructions to the driver, or to what knows of the agent."""

    def __init__(self, driver: Driver, information: Information, *, limit_seconds: float) -> None:
        """Take who does what, and how long one instruction may take."""
        self._driver = driver
        self._information = information
        self._limit_seconds = limit_seconds

    async def perform(self, instruction: Instruction, *, repeated: bool) -> Ended:
        """Act on it; return what came of it. The one place where whatever may go wrong ends up."""
        began = time.monotonic()
        status: Ending = "processed"
        result, reason = None, None
        try:
            async with asyncio.timeout(self._limit_seconds):
                result = await self._act(instruction, repeated=repeated)
        except InstructionDeclined as error:
            status, reason = "declined", str(error)
        except TimeoutError:
            status, reason = "failed", f"It took longer than {self._limit_seconds:g} s"
        except AthanorError as error:
            status, reason = "failed", str(error)
        except Exception as error:
            logger.exception(
                "Instruction %s failed in a way that we do not know",
                instruction.instruction_id,
                extra={"action": "instruction_failed", "domain": "cryoem"},
            )
            status, reason = "failed", f"internal error: {error!r}"
        metrics.AGENT_INSTRUCTIONS.labels(status).inc()
        took_ms = round((time.monotonic() - began) * 1000)
        logger.info(
            "Instruction %s (%s): %s%s",
            instruction.instruction_id,
            instruction.instruction_type,
            status,
            f": {reason}" if reason else "",
            extra={"action": "instruction_ended", "domain": "cryoem", "outcome": status},
        )
        return Ended(status, _cut(result), _cut(reason), took_ms, time.time())

    async def _act(self, instruction: Instruction, *, repeated: bool) -> str:
        if instruction.expires_at is not None and instruction.expires_at < utcnow():
            raise InstructionDeclined(
                f"It was out of time at {as_text(instruction.expires_at)}, before its turn came"
            )
        if instruction.instruction_type.startswith(_CONTROL):
            return await self._driver.act(instruction, repeated=repeated)
        return await self._information.answer(instruction)


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 20]}… (cut)"
