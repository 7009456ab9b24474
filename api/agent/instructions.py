"""Instructions: made, listed, traced, approved, rejected and called off."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.errors import problems
from api.parameters import Cursor, Limit, text_filter
from api.state import Serving
from core.caller import current_caller
from core.ids import ATHANOR, derived
from domains.cryoem.instructions import Held, Status
from models.cryoem.instructions import making, queries
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.queries import InstructionFilter
from models.cryoem.instructions.tables import Instruction
from models.cryoem.instructions.views import (
    InstructionDetail,
    InstructionView,
    Judgement,
    NewInstructionGiven,
)
from models.paging import Page
from tasks.cryoem import instructing

router = APIRouter(prefix="/instructions", tags=["instructions"])

_ONE = problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_CHANGED = problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


@router.post("", status_code=HTTPStatus.CREATED, responses=_CHANGED)
async def make_instruction(services: Serving, new: NewInstructionGiven) -> InstructionView:
    """Make an instruction for the agent of a session.

    The session's mode says what becomes of it: in `dry-run` it is recorded only, in `semi-auto`
    it waits for `approve`, in `auto` it is sent at once.
    """
    ident = None
    if new.idempotency_key is not None:
        ident = derived(ATHANOR, "instruction", new.session_id, new.idempotency_key)
    given = NewInstruction(
        type=new.instruction_type,
        payload=new.payload,
        created_by=current_caller().name,
        expires_in=new.expires_in_seconds or services.settings.instructions.expire_seconds,
        priority=new.priority,
        id=ident,
        reason=new.reason,
        extra=new.metadata,
    )
    made = await instructing.make(services, new.session_id, [given])
    if made:
        return _view(made[0])
    assert ident is not None  # noqa: S101 (only one with an id of its own is known)
    return _view(await services.database.read(making.get, ident))


def _wanted(
    session_id: Annotated[str | None, text_filter("Only of this session.", "s-1")] = None,
    agent_id: Annotated[str | None, text_filter("Only of this agent.", "m01-epu")] = None,
    status: Annotated[Status | None, Query(description="Only in this state.")] = None,
    held: Annotated[
        Held | None, Query(description="`approval`: only those that wait for a person.")
    ] = None,
    instruction_type: Annotated[
        str | None, text_filter("Only of this type.", "microscope.control.skip_gridsquares")
    ] = None,
    decision_id: Annotated[UUID | None, Query(description="Only after this decision.")] = None,
) -> InstructionFilter:
    return InstructionFilter(session_id, agent_id, status, held, instruction_type, decision_id)


@router.get("", responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_instructions(
    services: Serving,
    wanted: Annotated[InstructionFilter, Depends(_wanted)],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[InstructionView]:
    """List instructions, the newest first. `?held=approval&status=pending` needs a person."""
    return await services.database.read(
        queries.list_instructions, wanted, limit=limit, cursor=cursor
    )


@router.get("/{id}", responses=_ONE)
async def get_one_instruction(services: Serving, id: UUID) -> InstructionDetail:  # noqa: A002 (the path's name)
    """Trace an instruction: messages, predictions, decision, what its agent said, outcome."""
    return await services.database.read(queries.get_instruction, id)


@router.post("/{id}/approve", responses=_CHANGED)
async def approve_instruction(services: Serving, id: UUID) -> InstructionView:  # noqa: A002 (the path's name)
    """Let an instruction go that waits for a person."""
    return _view(await instructing.approve(services, id, by=current_caller().name))


@router.post("/{id}/reject", responses=_CHANGED)
async def reject_instruction(
    services: Serving,
    id: UUID,  # noqa: A002 (the path's name)
    why: Judgement | None = None,
) -> InstructionView:
    """Cancel an instruction that waits for a person."""
    by, reason = current_caller().name, why and why.reason
    return _view(await instructing.reject(services, id, by=by, reason=reason))


@router.post("/{id}/cancel", responses=_CHANGED)
async def cancel_instruction(
    services: Serving,
    id: UUID,  # noqa: A002 (the path's name)
    why: Judgement | None = None,
) -> InstructionView:
    """Call an instruction off: it is not sent, or not sent again.

    An agent that has it already may still act on it; its trail then says so.
    """
    by, reason = current_caller().name, why and why.reason
    return _view(await instructing.cancel(services, id, by=by, reason=reason))


def _view(row: Instruction) -> InstructionView:
    return InstructionView.model_validate(queries.shown(row))
