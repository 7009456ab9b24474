"""What is asked of the agent itself: how it stands, and to change how it does some things."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.instructions.received import Instruction, InstructionDeclined
from domains.cryoem.instructions import InstructionType

#: Characters that the API takes as an answer; what is longer is cut.
LONGEST = 10_000
#: So many files, failures and sessions are named; `athanor agent status` names more.
_NAMED = 20

#: What `agent.info.…` tells, of what the agent says of itself (`Agent.described`).
_TOLD: Mapping[str, tuple[str, ...]] = {
    InstructionType.DATASTORE: ("folder", "sessions", "files", "spool"),
    InstructionType.METRICS: ("began_at", "last_event_at", "files", "spool", "sending"),
    InstructionType.ERRORS: ("failures", "sending", "reading_paused"),
    InstructionType.ORPHANS: ("waiting_files",),
}


class Adjustable(BaseModel):
    """What `agent.config.update` may change, until the agent ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    heartbeat_seconds: float = Field(default=30.0, ge=1, le=3600)
    log_level: str = Field(default="WARNING", pattern="^(DEBUG|INFO|WARNING|ERROR|OFF)$")


@dataclass
class Ways:
    """How the agent does what may be adjusted while it runs."""

    chosen: Adjustable

    def adjust(self, payload: Mapping[str, Any]) -> str:
        """Take over what the payload says; return what is in force.

        Raises:
            InstructionDeclined: It names something else, or a value that is not allowed; then
                nothing is changed.
        """
        changes = payload.get("config", payload)
        try:
            self.chosen = Adjustable.model_validate({**self.chosen.model_dump(), **changes})
        except (ValidationError, TypeError) as error:
            reasons = (
                "; ".join(
                    f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
                )
                if isinstance(error, ValidationError)
                else "the payload is no object"
            )
            allowed = ", ".join(Adjustable.model_fields)
            raise InstructionDeclined(f"{reasons}. What can be changed: {allowed}") from error
        return self.chosen.model_dump_json()


class Information:
    """Answers `agent.…` instructions from the agent's own state."""

    def __init__(self, describe: Callable[[], Awaitable[dict[str, Any]]], ways: Ways) -> None:
        """Take what tells how the agent stands, and what may be adjusted."""
        self._describe = describe
        self._ways = ways

    async def answer(self, instruction: Instruction) -> str:
        """Return the answer, as JSON.

        Raises:
            InstructionDeclined: We do not know what is asked.
        """
        asked = instruction.instruction_type
        if asked == InstructionType.CONFIGURE:
            return self._ways.adjust(instruction.payload)
        if asked != InstructionType.STATUS and asked not in _TOLD:
            raise InstructionDeclined(f"{asked}: this agent does not know such an instruction")
        found = await self._describe()
        wanted = _TOLD.get(asked, tuple(found))
        told = {name: _short(found[name]) for name in wanted if name in found}
        if asked == InstructionType.STATUS:
            told["config"] = self._ways.chosen.model_dump()
        return json.dumps(told)


def _short(value: Any) -> Any:
    """Return a value with its list cut, and how many there are."""
    if isinstance(value, list) and len(value) > _NAMED:
        return {"number": len(value), "first": value[:_NAMED]}
    return value
