"""What becomes of instructions to agents; published by Athanor."""

from typing import Literal

from pydantic import Field

from models.cryoem.messages.base import Message, Name


class InstructionEvent(Message):
    """An instruction to an agent was made, changed or is out of time."""

    event_type: Literal[
        "agent.instruction.created", "agent.instruction.updated", "agent.instruction.expired"
    ]
    instruction_id: Name = Field(description="The instruction.")
    session_id: Name | None = Field(None, description="The session that it is for.")
    agent_id: Name | None = Field(None, description="The agent that it is for.")
