"""Which sessions are held, and what is kept for how long."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.errors import problems
from api.state import Serving
from core.caller import current_caller
from core.clock import utcnow
from core.errors import NotPermitted
from domains.retention import PolicyName
from models.retention import holds
from models.retention.holds import Hold
from models.retention.report import RetentionStats
from tasks.retention import Retention, policy_of

router = APIRouter(tags=["retention"])

_ONE = problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_CHANGED = problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)


class NewHold(BaseModel):
    """Why a session is to be kept."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(
        min_length=1,
        max_length=1_000,
        pattern=r"^[^\x00]+$",
        description="Why, for whoever finds it held.",
        examples=["inquiry 2026-7"],
    )


@router.get("/sessions/{grid_uuid}/hold", responses=_ONE)
async def get_hold(services: Serving, grid_uuid: UUID) -> Hold:
    """Show why a session is held; 404 for one that is not."""
    return await services.database.read(holds.get, grid_uuid)


@router.put("/sessions/{grid_uuid}/hold", responses=_CHANGED)
async def put_hold(services: Serving, grid_uuid: UUID, hold: NewHold) -> Hold:
    """Hold a session: neither retention nor anybody else deletes it until it is released."""
    by = current_caller().name
    return await services.database.write(
        holds.hold, grid_uuid, reason=hold.reason, by=by, now=utcnow()
    )


@router.delete("/sessions/{grid_uuid}/hold", responses=_ONE)
async def delete_hold(services: Serving, grid_uuid: UUID) -> Hold:
    """Release a session that is held; returns what held it."""
    return await services.database.write(holds.release, grid_uuid)


@router.get("/retention", responses=problems(HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_retention(
    services: Serving,
    policy: Annotated[
        PolicyName | None, Query(description="By which ages; absent, those of the nightly run.")
    ] = None,
) -> RetentionStats:
    """Show what each table holds, and what a cleanup would delete: counted as it deletes.

    Prefect's own runs are not counted here (`athanor retention stats` does).
    """
    if not current_caller().sees_all:
        raise NotPermitted("What is kept concerns the sessions of all organisations.")
    chosen = policy_of(services.settings.retention, policy)
    return await Retention(services.database, chosen).stats()
