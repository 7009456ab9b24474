"""Algorithm results and named values."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from models.athena import AlgorithmResultType, NameValueRecord
from simulators.athena.state import Sim
from simulators.athena.wire import (
    API,
    NO_SESSION,
    AreaIdQuery,
    Int32Path,
    OptionalInt,
    ParentAreaIdQuery,
    SessionId,
    answer,
    answers,
    body_of,
    many,
    not_found,
    nothing,
    one,
    rejected,
)

router = APIRouter(prefix=API)


@router.get("/Session/{sessionId}/AlgorithmResult")
async def get_algorithm_result(
    sim: Sim, session_id: SessionId, name: AlgorithmResultType, area_id: AreaIdQuery = 0
) -> Response:
    """Return an algorithm's last result for an area."""
    session = sim.check_area(session_id, area_id)
    found = sim.store.bodies(
        "algorithm_result", {"session": session, "area": area_id, "name": name}, latest=True
    )
    if not found:
        raise not_found(f"Area {area_id} of session {session} has no result of {name}.")
    return answer(found[0])


@router.get("/Session/{sessionId}/AlgorithmResults")
async def find_algorithm_results(
    sim: Sim, session_id: SessionId, name: AlgorithmResultType, parent: ParentAreaIdQuery = 0
) -> Response:
    """Return an algorithm's results for the areas inside an area."""
    session = sim.check_area(session_id, parent)
    inside = sim.store.area_ids(session, parent=parent)
    found = sim.store.bodies("algorithm_result", {"session": session, "name": name}, among=inside)
    return answers(found) if found else nothing()


@router.get("/Session/{sessionId}/LatestAlgorithmResult")
async def latest_algorithm_result(
    sim: Sim, session_id: SessionId, name: AlgorithmResultType, parent: ParentAreaIdQuery = 0
) -> Response:
    """Return an algorithm's latest result inside an area."""
    session = sim.check_area(session_id, parent)
    inside = sim.store.area_ids(session, parent=parent)
    found = sim.store.bodies(
        "algorithm_result", {"session": session, "name": name}, latest=True, among=inside
    )
    return answer(found[0]) if found else nothing()


@router.get("/NameValueStore/{sessionId}/Value/{id}")
async def get_value(sim: Sim, session_id: SessionId, id: Int32Path) -> Response:  # noqa: A002 (the contract's name)
    """Return a named value."""
    if id < 1:
        raise rejected(f"Illegal id: {id}.")
    session = sim.check_session(session_id)
    found = sim.store.bodies("name_value", {"session": session, "id": id})
    if not found:
        raise not_found(f"Session {session} has no value {id}.")
    return answer(found[0])


@router.get("/NameValueStore/{sessionId}/Values")
async def find_values(
    sim: Sim,
    session_id: SessionId,
    area_id: Annotated[OptionalInt, Query(alias="areaId")] = None,
    name: str | None = None,
) -> Response:
    """Return named values, of one area or name where given."""
    if area_id is not None and area_id < 1:
        raise rejected(f"Illegal area id: {area_id}.")
    session = (
        sim.check_session(session_id) if area_id is None else sim.check_area(session_id, area_id)
    )
    return answers(
        sim.store.bodies("name_value", {"session": session, "area": area_id, "name": name})
    )


@router.post("/NameValueStore")
async def post_value(
    sim: Sim, value: Annotated[NameValueRecord, Depends(one(NameValueRecord))]
) -> Response:
    """Store a named value."""
    (body,) = _store(sim, [value])
    return answer(body, HTTPStatus.CREATED)


@router.post("/NameValueStores")
async def post_values(
    sim: Sim, values: Annotated[tuple[NameValueRecord, ...], Depends(many(NameValueRecord))]
) -> Response:
    """Store named values, all or none."""
    if not values:
        raise rejected("sessionId is not filled in.")
    return answers(_store(sim, values), HTTPStatus.CREATED)


def _store(sim: Sim, values: Sequence[NameValueRecord]) -> list[str]:
    """Store values under ids of our making."""
    for value in values:
        _check(sim, value)
    bodies: list[str] = []
    with sim.store.commit():
        for value in values:
            session = str(value.session_id)
            ident = sim.store.next_id("name_value", session)
            time = value.timestamp or sim.clock()
            body = body_of(value.model_copy(update={"id": ident, "timestamp": time}))
            row = {"session": session, "id": ident, "area": value.area_id, "name": value.name}
            sim.store.insert("name_value", [{**row, "body": body}])
            bodies.append(body)
    return bodies


def _check(sim: Sim, value: NameValueRecord) -> None:
    if value.session_id == NO_SESSION:
        raise rejected("sessionId is not filled in.")
    if not value.name:
        raise rejected("name is empty.")
    if value.area_id is None:
        sim.check_session(value.session_id)
        return
    if value.area_id < 1:
        raise rejected(f"Illegal area id: {value.area_id}.")
    sim.check_area(value.session_id, value.area_id)
