"""What atlases and squares look like."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.errors import RequestRefused, problems
from api.listing import matches
from api.state import Services, Serving
from domains.cryoem.picturing import Part
from models.cryoem.smartem import picture_places
from models.cryoem.smartem.picture_places import Places
from tasks.cryoem.imaging.rendering import Look

router = APIRouter(tags=["images"])

_HEADERS: dict[str, Any] = {
    "ETag": {
        "description": "Give it as `If-None-Match` to hear whether the file changed.",
        "schema": {"type": "string"},
    },
    "X-Picture-Width": {
        "description": "Of the whole picture in its own pixels, which x, y, w and h count.",
        "schema": {"type": "integer"},
    },
    "X-Picture-Height": {"description": "The same.", "schema": {"type": "integer"}},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    HTTPStatus.OK.value: {
        "description": "An 8-bit grey picture.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        "headers": _HEADERS,
    },
    HTTPStatus.NOT_MODIFIED.value: {"description": "Nothing changed since that `ETag`."},
    **problems(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
}
#: No camera has so many pixels in a row; and databases of clients hold 32 bits.
_FAR = 2**31 - 1

Place = Annotated[int | None, Query(ge=-_FAR, le=_FAR, description="Centre of a part, in pixels.")]
Length = Annotated[int | None, Query(ge=1, le=_FAR, description="Size of a part, in pixels.")]
MaxSize = Annotated[
    int | None,
    Query(
        ge=16,
        le=16_384,
        description="The longer side of the answer is no longer; nothing is made larger.",
    ),
]


@router.get("/grids/{grid_uuid}/atlas_image", response_class=Response, responses=_RESPONSES)
async def get_grid_atlas_image(
    request: Request,
    services: Serving,
    grid_uuid: UUID,
    x: Place = None,
    y: Place = None,
    w: Length = None,
    h: Length = None,
    max_size: MaxSize = None,
) -> Response:
    """Show the atlas of a grid as PNG, or the part of it with centre x, y and size w, h."""
    places = await services.database.read(picture_places.of_atlas, grid_uuid)
    return await _answer(request, services, places, Look(_part(x, y, w, h), max_size))


@router.get(
    "/gridsquares/{gridsquare_uuid}/gridsquare_image",
    response_class=Response,
    responses=_RESPONSES,
)
async def get_gridsquare_image(
    request: Request, services: Serving, gridsquare_uuid: UUID, max_size: MaxSize = None
) -> Response:
    """Show the image of a grid square as PNG."""
    places = await services.database.read(picture_places.of_square, gridsquare_uuid)
    return await _answer(request, services, places, Look(max_side=max_size))


def _part(x: int | None, y: int | None, w: int | None, h: int | None) -> Part | None:
    if x is None and y is None and w is None and h is None:
        return None
    if x is None or y is None or w is None or h is None:
        raise RequestRefused(
            HTTPStatus.UNPROCESSABLE_ENTITY, "x, y, w, h: a part takes all four of them."
        )
    return Part(x, y, w, h)


async def _answer(request: Request, services: Services, places: Places, look: Look) -> Response:
    found = await services.gallery.find(places, look)
    headers = {"ETag": found.etag, "Cache-Control": "private, no-cache"}
    if matches(request, found.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    png = await services.gallery.show(found)
    headers |= {"X-Picture-Width": str(png.width), "X-Picture-Height": str(png.height)}
    return Response(png.content, media_type="image/png", headers=headers)
