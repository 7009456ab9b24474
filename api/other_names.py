"""Paths that name an entity by another of its uuids lead to the one that names it by its own."""

from http import HTTPStatus
from typing import Final
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from api.errors import answer_to
from api.state import Services
from core.errors import NotFound
from models.cryoem import renamed

#: Parameters of paths that name what may have other uuids.
_NAMING: Final = frozenset(
    {"atlas_uuid", "tile_uuid", "gridsquare_uuid", "foilhole_uuid", "micrograph_uuid"}
)


def install(app: FastAPI) -> None:
    """Look for other uuids where nothing is found by the one given."""
    app.add_exception_handler(NotFound, _lead_on)


async def _lead_on(request: Request, error: Exception) -> Response:
    path, given = request.url.path, _given(request)
    services: Services = request.app.state.services
    names = await services.database.read(renamed.targets, list(given)) if given else {}
    if not names:
        return answer_to(request, error)
    for uuid, own in names.items():
        path = path.replace(given[uuid], str(own))
    query = f"?{request.url.query}" if request.url.query else ""
    # Of this host whatever it is called outside; the method and the body stay.
    return RedirectResponse(path + query, HTTPStatus.PERMANENT_REDIRECT)


def _given(request: Request) -> dict[UUID, str]:
    """Return the uuids of the path, each as it is written there."""
    said = {text for name, text in request.path_params.items() if name in _NAMING}
    return {UUID(text): text for text in said}
