"""Routes that are answered quickly answer as FastAPI would."""

import json
from types import SimpleNamespace
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from api import errors
from api.smartem import rooms
from api.smartem.quick import QuickRoute
from api.smartem.writing import Writing
from core.errors import Conflict
from models.audit import told
from models.cryoem.smartem import requests
from models.cryoem.smartem.requests import MicrographCreateRequest, Request
from models.cryoem.smartem.responses import MicrographResponse

_HOLE = "5d6e7f80-1a2b-5c3d-9e4f-a1b2c3d4e5f6"
_USUAL = {"uuid": "7f4d1c1e-5c0e-5f0a-9d0d-6f2c4c1b8a33", "foilhole_id": "17"}
_JSON = "application/json"


def app_with(route_class: type[APIRoute]) -> FastAPI:
    """Return an application with one route, which shows what it was given."""
    app = FastAPI()
    router = APIRouter(route_class=route_class)

    @router.post("/holes/{hole_uuid}/micrographs", status_code=201)
    async def make(
        writer: Writing, hole_uuid: UUID, asked: MicrographCreateRequest
    ) -> MicrographResponse:
        assert writer is app.state.services.writer
        if asked.location_id == "taken":
            raise Conflict("It is taken.")
        return MicrographResponse.model_construct(
            **dict.fromkeys(MicrographResponse.model_fields)
            | {**asked.__dict__, "foilhole_uuid": hole_uuid}
        )

    app.state.services = SimpleNamespace(writer=object())
    app.include_router(router)
    errors.install(app)
    return app


def body(**more: object) -> str:
    return json.dumps({**_USUAL, **more})


@pytest.mark.parametrize(
    ("hole", "kind", "content", "status"),
    [
        (_HOLE, _JSON, body(), 201),
        (_HOLE.replace("-", "").upper(), _JSON, body(), 201),
        (_HOLE, _JSON, body(acquisition_datetime="2026-03-02T10:15:02.5", binning_x=2.0), 201),
        (_HOLE, _JSON, body(defocus=-1.8e-6, energy_filter=True, micrograph_id="Größe ☃"), 201),
        (_HOLE, _JSON, body(unheard_of={"a": [1]}), 201),
        (_HOLE, "application/json; charset=utf-8", body(), 201),
        (_HOLE, "application/merge-patch+json", body(), 201),
        (_HOLE, _JSON, body(location_id="taken"), 409),
        (_HOLE, _JSON, body(acquisition_datetime=1_770_000_000), 422),
        (_HOLE, _JSON, body(energy_filter="yes", binning_x=True, foilhole_id="017"), 422),
        (_HOLE, _JSON, body().replace('"17"', '"17", "defocus": NaN'), 422),
        (_HOLE, _JSON, body().replace('"17"', '"17", "defocus": 1e999'), 422),
        (_HOLE, _JSON, body(micrograph_id="\ud800"), 422),
        (_HOLE, _JSON, body(micrograph_id="\x00"), 422),
        (_HOLE, _JSON, "[]", 422),
        (_HOLE, _JSON, "null", 422),
        (_HOLE, _JSON, "{", 422),
        (_HOLE, _JSON, "", 422),
        (_HOLE, "text/plain", body(), 422),
        ("none", _JSON, body(), 422),
        ("none", _JSON, "{", 422),
    ],
)
async def test_a_quick_answer_is_the_same(hole: str, kind: str, content: str, status: int) -> None:
    answers = []
    for route_class in (QuickRoute, APIRoute):
        transport = httpx.ASGITransport(app_with(route_class))
        async with httpx.AsyncClient(base_url="http://api", transport=transport) as client:
            answers.append(
                await client.post(
                    f"/holes/{hole}/micrographs", content=content, headers={"Content-Type": kind}
                )
            )
    quick, usual = [(one.status_code, one.headers.multi_items(), one.json()) for one in answers]
    assert quick == usual
    assert quick[0] == status


def test_what_is_written_all_day_is_answered_quickly() -> None:
    quick = {
        route.path
        for router in rooms.ROUTERS
        for route in router.routes
        if isinstance(route, QuickRoute) and route.is_quick
    }
    assert quick >= {
        "/grids/{grid_uuid}/gridsquares/batch",
        "/gridsquares/{gridsquare_uuid}/foilholes",
        "/foilholes/{foilhole_uuid}/micrographs",
    }


def test_no_request_has_what_the_audit_hides() -> None:
    # It is written into the audit as it is.
    kinds = [one for one in vars(requests).values() if isinstance(one, type)]
    fields = {name for one in kinds if issubclass(one, Request) for name in one.model_fields}
    shown = dict.fromkeys(fields, "shown")
    assert len(shown) > 50
    assert told(shown) == shown
