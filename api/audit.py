"""Who changed what."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query

from api.errors import problems
from api.parameters import Cursor, Limit
from api.state import Serving
from models.audit_reads import AuditFilter, AuditView, list_audit
from models.paging import Page

router = APIRouter(prefix="/audit", tags=["access"])


class _Asked(AuditFilter):
    """What is asked of the list."""

    limit: Limit = 100
    cursor: Cursor = None


@router.get("", responses=problems(HTTPStatus.UNPROCESSABLE_ENTITY))
async def get_audit(services: Serving, asked: Annotated[_Asked, Query()]) -> Page[AuditView]:
    """List changes and refused attempts at them, newest first."""
    return await services.database.read(list_audit, asked, limit=asked.limit, cursor=asked.cursor)
