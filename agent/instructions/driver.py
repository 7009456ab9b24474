"""What acts on instructions: a driver, chosen by whoever sets the agent up."""

import logging
from typing import Protocol

from agent.instructions.received import Instruction, InstructionDeclined
from domains.cryoem.instructions import InstructionType

logger = logging.getLogger(__name__)

#: What can be done through the decisions that Athena keeps for the microscope.
THROUGH_DECISIONS = frozenset(
    {
        InstructionType.REORDER_SQUARES,
        InstructionType.SKIP_SQUARES,
        InstructionType.REORDER_HOLES,
    }
)


class Driver(Protocol):
    """Does at the microscope what it is told to."""

    name: str

    async def act(self, instruction: Instruction, *, repeated: bool) -> str:
        """Do it; return what was done, for a person to read.

        Args:
            instruction: What to do, one of `microscope.control.…`.
            repeated: It was asked before and the agent ended before the answer: it may have
                been done already.

        Raises:
            InstructionDeclined: It cannot or may not do this; nothing was done.
            AthanorError: It failed.
        """
        ...

    async def aclose(self) -> None:
        """Let go of its connections."""
        ...


class DryRunDriver:
    """Says what it would do, and does nothing."""

    name = "dry-run"

    async def act(self, instruction: Instruction, *, repeated: bool) -> str:
        """Log it."""
        decline_unknown(instruction)
        said = f"Would {described(instruction)}"
        logger.info(
            "%s%s",
            said,
            " (asked again)" if repeated else "",
            extra={"action": "instruction_dry_run", "domain": "cryoem"},
        )
        return f"Dry run, nothing was done. {said}."

    async def aclose(self) -> None:
        """Do nothing: there is nothing open."""


def decline_unknown(instruction: Instruction) -> None:
    """Refuse what no driver of ours can do: nothing may pretend to have moved a stage.

    Raises:
        InstructionDeclined: It is such an instruction.
    """
    if instruction.instruction_type not in THROUGH_DECISIONS:
        raise InstructionDeclined(
            f"{instruction.instruction_type}: no driver of this agent can do that. It reaches the "
            "microscope only through the decisions that Athena keeps for it."
        )
    if not _areas(instruction):
        raise InstructionDeclined(f"{instruction.instruction_type}: its payload names no area")


def described(instruction: Instruction) -> str:
    """Return what a known instruction asks for, in words."""
    areas = _areas(instruction)
    named = ", ".join(areas[:10]) + (f" and {len(areas) - 10} more" if len(areas) > 10 else "")
    match instruction.instruction_type:
        case InstructionType.REORDER_SQUARES:
            return f"collect {_count(areas, 'square')} earlier: {named}"
        case InstructionType.SKIP_SQUARES:
            return f"skip {_count(areas, 'square')}: {named}"
        case _:
            square = instruction.payload.get("gridsquare_id")
            return f"collect {_count(areas, 'hole')} of square {square} earlier: {named}"


def _areas(instruction: Instruction) -> list[str]:
    holes = instruction.instruction_type == InstructionType.REORDER_HOLES
    listed = instruction.payload.get("foilhole_ids" if holes else "gridsquare_ids")
    return [str(area) for area in listed] if isinstance(listed, list) else []


def _count(areas: list[str], what: str) -> str:
    return f"{len(areas)} {what}{'s' if len(areas) > 1 else ''}"
