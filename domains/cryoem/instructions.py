"""Instructions to agents: their life, their order, and what predictions make of them.

Life: pending → sent → received → processed | failed | declined, or expired, or cancelled.
An instruction that waits for a person, or that is recorded only, is pending and *held*.
Source: the SmartEM HTTP contract, "Agent channel".
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias
from uuid import UUID


class Mode(StrEnum):
    """What becomes of a session's instructions."""

    #: Recorded only: never sent.
    DRY_RUN = "dry-run"
    #: Sent once a person has approved.
    SEMI_AUTO = "semi-auto"
    #: Sent at once.
    AUTO = "auto"


class Held(StrEnum):
    """Why a pending instruction is not sent."""

    APPROVAL = "approval"
    DRY_RUN = "dry-run"


class InstructionStatus(StrEnum):
    """How far an instruction is."""

    PENDING = "pending"
    SENT = "sent"
    RECEIVED = "received"
    PROCESSED = "processed"
    FAILED = "failed"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


#: For those who speak of instructions anyway; the long name is for the API's document.
Status: TypeAlias = InstructionStatus


class Ack(StrEnum):
    """What an agent says of an instruction."""

    RECEIVED = "received"
    PROCESSED = "processed"
    FAILED = "failed"
    DECLINED = "declined"


class Priority(StrEnum):
    """Which instruction goes first; the higher first, then the earlier."""

    URGENT = "urgent"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class InstructionType(StrEnum):
    """What an agent can be told."""

    REORDER_SQUARES = "microscope.control.reorder_gridsquares"
    SKIP_SQUARES = "microscope.control.skip_gridsquares"
    REORDER_HOLES = "microscope.control.reorder_foilholes"
    MOVE_STAGE = "microscope.control.move_stage"
    TAKE_IMAGE = "microscope.control.take_image"
    STATUS = "agent.status.request"
    CONFIGURE = "agent.config.update"
    DATASTORE = "agent.info.datastore"
    METRICS = "agent.info.metrics"
    ERRORS = "agent.info.errors"
    ORPHANS = "agent.info.orphans"


#: States from which nothing follows.
FINAL: Final = frozenset(
    {Status.PROCESSED, Status.FAILED, Status.DECLINED, Status.EXPIRED, Status.CANCELLED}
)
#: States in which a person can still call it off.
CANCELLABLE: Final = frozenset({Status.PENDING, Status.SENT})
#: The longest that a resend is put off, in windows.
_LONGEST_WAIT: Final = 16


def held_in(mode: Mode) -> Held | None:
    """Return why a new instruction of a session in this mode is held; None: it is sent."""
    return {Mode.DRY_RUN: Held.DRY_RUN, Mode.SEMI_AUTO: Held.APPROVAL, Mode.AUTO: None}[mode]


def urgency(priority: Priority, sequence: int) -> tuple[int, int]:
    """Return what instructions are sorted by: urgent first, then as they were made."""
    return list(Priority).index(priority), sequence


def after_ack(status: Status, ack: Ack, *, claimed: bool) -> Status | None:
    """Return the state after an acknowledgement; None when it contradicts what is known.

    One step (the outcome alone) is as good as two (received, then the outcome). A pending one
    can be acknowledged when a stream has taken it: its agent may be faster than our note that
    it was sent.
    """
    on_its_way = status == Status.SENT or (status == Status.PENDING and claimed)
    if on_its_way or (status == Status.RECEIVED and ack != Ack.RECEIVED):
        return Status(ack)
    return None


def resend_after(sends: int, window: float, most: int) -> float | None:
    """Return after how many seconds without acknowledgement to send again; None: not any more.

    Args:
        sends: How often it was sent.
        window: Seconds that the first acknowledgement may take; doubled by each resend.
        most: How often it is sent again.
    """
    if sends > most:
        return None
    return window * float(min(2 ** (sends - 1), _LONGEST_WAIT))


@dataclass(frozen=True)
class Thresholds:
    """From which prediction on a session acts."""

    square_forward: float = 0.8
    square_skip: float = 0.3
    hole_forward: float = 0.8

    def __post_init__(self) -> None:
        if not self.square_skip < self.square_forward:
            raise ValueError("square_skip must be less than square_forward")


@dataclass(frozen=True)
class Evidence:
    """A prediction that an instruction rests on."""

    #: Our uuid of the square or hole, and EPU's number of it.
    target: UUID
    target_id: int
    value: float
    model: str
    #: What the model's own messages call its version; None where they do not say.
    model_version: str | None = None
    #: The inbox message that brought it.
    message: UUID | None = None
    #: What was decided on it.
    decision: UUID | None = None


@dataclass(frozen=True)
class Wanted:
    """An instruction that predictions ask for."""

    type: InstructionType
    payload: dict[str, object]
    priority: Priority
    reason: str
    #: The threshold that was reached.
    threshold: float
    evidence: tuple[Evidence, ...]


def for_squares(predicted: Collection[Evidence], thresholds: Thresholds) -> list[Wanted]:
    """Return what predictions of squares ask for: good ones forward, bad ones skipped."""
    forward, skip = thresholds.square_forward, thresholds.square_skip
    made: list[Wanted] = []
    good = _best_first([one for one in predicted if one.value >= forward])
    if good:
        reason = f"{_count(good, 'square')} predicted at {forward:g} or better"
        payload: dict[str, object] = {
            "gridsquare_ids": _ids(good),
            "priority": Priority.HIGH.value,
            "reason": reason,
        }
        made.append(
            Wanted(
                InstructionType.REORDER_SQUARES, payload, Priority.HIGH, reason, forward, (*good,)
            )
        )
    bad = _best_first([one for one in predicted if one.value <= skip])
    if bad:
        reason = f"{_count(bad, 'square')} predicted at {skip:g} or worse"
        payload = {"gridsquare_ids": _ids(bad), "reason": reason}
        made.append(
            Wanted(InstructionType.SKIP_SQUARES, payload, Priority.NORMAL, reason, skip, (*bad,))
        )
    return made


def for_holes(
    square_id: int, predicted: Collection[Evidence], thresholds: Thresholds
) -> list[Wanted]:
    """Return what predictions of a square's holes ask for: the good ones forward."""
    forward = thresholds.hole_forward
    good = _best_first([one for one in predicted if one.value >= forward])
    if not good:
        return []
    reason = f"{_count(good, 'hole')} predicted at {forward:g} or better"
    payload: dict[str, object] = {
        "gridsquare_id": str(square_id),
        "foilhole_ids": _ids(good),
        "priority": Priority.HIGH.value,
        "reason": reason,
    }
    return [
        Wanted(InstructionType.REORDER_HOLES, payload, Priority.HIGH, reason, forward, (*good,))
    ]


def _best_first(predicted: Sequence[Evidence]) -> list[Evidence]:
    return sorted(predicted, key=lambda one: (-one.value, one.target_id))


def _ids(predicted: Sequence[Evidence]) -> list[str]:
    # As text: so EPU names them, and so the agents of SmartEM read them.
    return [str(one.target_id) for one in predicted]


def _count(predicted: Sequence[Evidence], what: str) -> str:
    return f"{len(predicted)} {what}{'s' if len(predicted) > 1 else ''}"
