"""What routes that make, change and delete entities have in common."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Request

from api.errors import problems
from api.state import Services
from models import listing
from models.cryoem.messages import Entity
from models.cryoem.smartem import requests
from models.cryoem.smartem.writes import Create, Delete, Result, Update
from models.listing import Listing
from models.paging import View
from tasks.cryoem.entity_writes import EntityWriter

V = TypeVar("V", bound=View)

#: What else a route that makes something may answer.
MAKES: Final = problems(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
#: The same of one that changes or deletes something.
CHANGES: Final = MAKES
#: The same of one that shows something.
SHOWS: Final = problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)


def writer_of(request: Request) -> EntityWriter:
    """Return what takes the application's writes."""
    services: Services = request.app.state.services
    return services.writer


async def _writer(request: Request) -> EntityWriter:
    return writer_of(request)


Writing = Annotated[EntityWriter, Depends(_writer)]


async def show(services: Services, shown: Listing, view: type[V], uuid: UUID) -> V:
    """Return one entity as it is stored."""
    return view.model_validate(await services.database.read(listing.get, shown, uuid))


async def make(
    writer: EntityWriter,
    entity: Entity,
    parent: UUID | None,
    asked: requests.Request,
    view: type[V],
) -> V:
    """Make one entity; return it as it is stored."""
    return view.model_validate(only(await writer.write(Create(entity, parent, (asked,)))))


async def make_all(
    writer: EntityWriter,
    entity: Entity,
    parent: UUID,
    asked: Sequence[requests.Request],
    view: type[V],
) -> list[V]:
    """Make entities, all of them or none; return them as they are stored."""
    result = await writer.write(Create(entity, parent, tuple(asked)))
    return [view.model_validate(one) for one in result.shown]


async def change(
    writer: EntityWriter, entity: Entity, uuid: UUID, asked: requests.Request, view: type[V]
) -> V:
    """Change one entity; return it as it is stored."""
    return view.model_validate(only(await writer.write(Update(entity, uuid, asked))))


async def delete(writer: EntityWriter, entity: Entity, uuid: UUID) -> None:
    """Delete an entity and all that belongs to it."""
    await writer.write(Delete(entity, uuid))


def only(result: Result) -> dict[str, Any]:
    """Return what a write of one thing shows."""
    (shown,) = result.shown
    return shown
