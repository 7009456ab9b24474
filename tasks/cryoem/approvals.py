"""Instructions that wait for a person: how they are shown, and what the person may say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

from prefect.input import RunInput
from pydantic import Field

from core.clock import as_text
from domains.cryoem.instructions import Status
from models.cryoem.instructions.tables import Instruction

#: Most instructions that one page names; the others are counted.
SHOWN: Final = 100
#: Most squares or holes that one line names.
_NAMED: Final = 12


class Answer(RunInput):
    """What a person says to instructions that wait."""

    answer: Literal["approve", "reject"] = Field(description="What to do with them.")
    only: list[int] = Field(
        default=[], description="Numbers of those that are meant, where not all of them are."
    )
    by: str = Field(
        default="a person at Prefect", max_length=200, description="Who says so, for the record."
    )
    reason: str = Field(default="", max_length=2_000, description="Why, for the record.")


@dataclass(frozen=True)
class Line:
    """One instruction as a person is shown it."""

    id: UUID
    number: int
    text: str


@dataclass(frozen=True)
class Waiting:
    """Instructions of a session that wait for a person."""

    session_id: str
    through: int
    lines: tuple[Line, ...] = ()

    def form(self) -> type[Answer]:
        """Return the form that a person fills in, with what it is about."""
        return Answer.with_initial_data(description=self.as_markdown())

    def as_markdown(self) -> str:
        """Return what a person reads."""
        number = len(self.lines)
        shown = [f"| {one.number} | {one.text} |" for one in self.lines[:SHOWN]]
        more = [f"\nand {number - SHOWN} more."] if number > SHOWN else []
        return "\n".join(
            [
                f"**{number} instruction{'s wait' if number != 1 else ' waits'}** for session "
                f"`{self.session_id}`, up to number {self.through}.",
                "",
                "| number | instruction |",
                "|---:|---|",
                *shown,
                *more,
            ]
        )


@dataclass
class Judged:
    """What became of instructions that a run asked about."""

    approved: int = 0
    rejected: int = 0
    #: Number → who decided, or what happened to it, before this run could.
    elsewhere: dict[int, str] = field(default_factory=dict)


def fate_of(one: Instruction) -> str:
    """Return what became of an instruction that waited for a person."""
    if one.judged_at is not None:
        verdict = "rejected" if one.status == Status.CANCELLED else "approved"
        return f"{verdict} by {one.judged_by} at {as_text(one.judged_at)}"
    return f"{one.status}: {one.ended_because or 'waits'}"


def line_of(one: Instruction) -> Line:
    """Return an instruction as a person is shown it."""
    what = one.instruction_type.rpartition(".")[2].replace("_", " ")
    areas: Sequence[Any] = one.payload.get("foilhole_ids") or one.payload.get("gridsquare_ids", [])
    named = ", ".join(str(area) for area in areas[:_NAMED])
    more = f" and {len(areas) - _NAMED} more" if len(areas) > _NAMED else ""
    on = f" on square {one.payload['gridsquare_id']}" if "gridsquare_id" in one.payload else ""
    why = f" ({one.reason})" if one.reason else ""
    text = f"{what}{on}: {named}{more}{why}; until {as_text(one.expires_at)}"
    # A name or a reason must not break the table.
    return Line(one.id, one.sequence_number, text.replace("|", "¦").replace("\n", " "))
