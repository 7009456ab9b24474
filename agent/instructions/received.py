"""An instruction as the API sends it, and what came of it."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from core.errors import AthanorError
from domains.cryoem.instructions import Priority

#: What an agent says in the end.
Ending = Literal["processed", "failed", "declined"]

_PRIORITIES = {str(priority): rank for rank, priority in enumerate(Priority)}


class InstructionDeclined(AthanorError):
    """The agent cannot or may not do this."""


class Instruction(BaseModel):
    """One thing to do; newer servers may say more of it than we read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    instruction_id: str = Field(min_length=1)
    agent_id: str
    session_id: str
    instruction_type: str
    payload: dict[str, Any] = {}
    sequence_number: int | None = None
    priority: str = Priority.NORMAL
    expires_at: AwareDatetime | None = None
    #: What it rests on, as the server tells it.
    metadata: dict[str, Any] | None = None

    @property
    def turn(self) -> tuple[int, int]:
        """Return its place among those that wait: the urgent first, then as they were made."""
        rank = _PRIORITIES.get(self.priority, _PRIORITIES[Priority.NORMAL])
        return rank, self.sequence_number or 0


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of an instruction."""

    status: Ending
    #: What was done, for `processed`.
    result: str | None = None
    #: Why not, for the others.
    reason: str | None = None
    took_ms: int = 0
    #: When, in seconds since 1970.
    at: float = 0.0
