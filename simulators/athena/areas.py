"""Areas and their states. An area id below 1 is illegal; a parent need not be known first."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from models.athena import Area, AreaState, AreaStateChange, AreaType
from simulators.athena.state import Sim
from simulators.athena.wire import (
    API,
    NO_SESSION,
    Int32Path,
    OptionalInt,
    SessionId,
    answer,
    answers,
    body_of,
    conflict,
    many,
    not_found,
    nothing,
    one,
    rejected,
)

router = APIRouter(prefix=API)

TypeQuery = Annotated[AreaType | None, Query(alias="areaType")]
ParentQuery = Annotated[OptionalInt, Query(alias="parentAreaId")]


@router.get("/Session/{sessionId}/Area/{areaId}")
async def get_area(
    sim: Sim,
    session_id: SessionId,
    areaId: Int32Path,  # noqa: N803 (the contract's name)
) -> Response:
    """Return an area."""
    session = sim.check_area(session_id, areaId)
    return answer(sim.store.bodies("area", {"session": session, "id": areaId})[0])


@router.get("/Session/{sessionId}/Areas")
async def find_areas(
    sim: Sim, session_id: SessionId, area_type: TypeQuery = None, parent: ParentQuery = None
) -> Response:
    """Return areas, of one type or parent where given."""
    session = sim.check_session(session_id)
    return answers(
        sim.store.bodies("area", {"session": session, "type": area_type, "parent": parent})
    )


@router.get("/Session/{sessionId}/Area/{parentAreaId}/Areas")
async def find_child_areas(
    sim: Sim,
    session_id: SessionId,
    parentAreaId: Int32Path,  # noqa: N803 (the contract's name)
) -> Response:
    """Return the areas inside an area."""
    session = sim.check_session(session_id)
    return answers(sim.store.bodies("area", {"session": session, "parent": parentAreaId}))


@router.post("/Area")
async def register_area(sim: Sim, area: Annotated[Area, Depends(one(Area))]) -> Response:
    """Register an area."""
    _register(sim, [area])
    return answer(body_of(area), HTTPStatus.CREATED)


@router.put("/Area")
async def put_area(sim: Sim, area: Annotated[Area, Depends(one(Area))]) -> Response:
    """Register or update an area; the contract answers a list."""
    _put(sim, [area])
    return answers([body_of(area)], HTTPStatus.CREATED)


@router.post("/Areas")
async def register_areas(
    sim: Sim, areas: Annotated[tuple[Area, ...], Depends(many(Area))]
) -> Response:
    """Register areas, all or, when any exists, none."""
    _register(sim, areas)
    return answers(map(body_of, areas), HTTPStatus.CREATED)


@router.put("/Areas")
async def put_areas(sim: Sim, areas: Annotated[tuple[Area, ...], Depends(many(Area))]) -> Response:
    """Register or update areas."""
    _put(sim, areas)
    return nothing()


def _register(sim: Sim, areas: Sequence[Area]) -> None:
    for session, ids in _checked(sim, areas).items():
        taken = set(ids) & sim.store.area_ids(session)
        if taken or len(set(ids)) < len(ids):
            some = sorted(taken)[:10] or "one twice"
            raise conflict(f"Areas of session {session} have already been registered: {some}.")
    with sim.store.commit():
        sim.store.insert("area", [_row(area) for area in areas])


def _put(sim: Sim, areas: Sequence[Area]) -> None:
    _checked(sim, areas)
    with sim.store.commit():
        sim.store.insert("area", [_row(area) for area in areas], replace=True)


def _row(area: Area) -> dict[str, str | int | None]:
    return {
        "session": str(area.session_id),
        "id": area.id,
        "type": area.area_type.value,
        "parent": area.parent_id,
        "body": body_of(area),
    }


def _checked(sim: Sim, areas: Sequence[Area]) -> dict[str, list[int]]:
    """Return the ids by session; 400 or 404 when one of them can not be stored."""
    if not areas or any(area.session_id == NO_SESSION for area in areas):
        raise rejected("sessionId is not filled in.")
    illegal = [area.id for area in areas if area.id < 1]
    if illegal:
        raise rejected(f"Illegal area ids: {illegal[:10]}.")
    by_session: dict[str, list[int]] = {}
    for area in areas:
        by_session.setdefault(str(area.session_id), []).append(area.id)
    for session in by_session:
        sim.check_session(UUID(session))
    return by_session


@router.get("/Session/{sessionId}/AreaState/{areaStateId}")
async def get_area_state(
    sim: Sim,
    session_id: SessionId,
    areaStateId: Int32Path,  # noqa: N803 (the contract's name)
) -> Response:
    """Return one tracked state."""
    session = sim.check_session(session_id)
    if areaStateId < 1:
        raise rejected(f"Illegal area state id: {areaStateId}.")
    found = sim.store.bodies("area_state", {"session": session, "id": areaStateId})
    if not found:
        raise not_found(f"Session {session} has no area state {areaStateId}.")
    return answer(found[0])


@router.get("/Session/{sessionId}/Area/{areaId}/LatestAreaState")
async def latest_area_state(
    sim: Sim,
    session_id: SessionId,
    areaId: Int32Path,  # noqa: N803 (the contract's name)
) -> Response:
    """Return an area's latest state; the contract has no 204, so none is a 404."""
    if areaId < 1:
        raise rejected(f"Illegal area id: {areaId}.")
    session = sim.check_area(session_id, areaId)
    found = sim.store.bodies("area_state", {"session": session, "area": areaId}, latest=True)
    if not found:
        raise not_found(f"Area {areaId} of session {session} has no state.")
    return answer(found[0])


@router.get("/Session/{sessionId}/AreaStates")
async def find_area_states(
    sim: Sim, session_id: SessionId, area_type: TypeQuery = None, parent: ParentQuery = None
) -> Response:
    """Return tracked states, of the areas of one type or parent where given."""
    session = sim.check_session(session_id)
    among = None
    if area_type is not None or parent is not None:
        among = sim.store.area_ids(session, area_type=area_type, parent=parent)
    return answers(sim.store.bodies("area_state", {"session": session}, among=among))


@router.post("/AreaState")
async def post_area_state(
    sim: Sim, change: Annotated[AreaStateChange, Depends(one(AreaStateChange))]
) -> Response:
    """Track an area's state."""
    sim.check_area(change.session_id, change.area_id)
    (body,) = _track(sim, [change])
    return answer(body, HTTPStatus.CREATED)


@router.post("/AreaStates")
async def post_area_states(
    sim: Sim, states: Annotated[tuple[AreaState, ...], Depends(many(AreaState))]
) -> Response:
    """Track the states of many areas; ids that come with them are ours to give."""
    if not states or any(state.session_id == NO_SESSION for state in states):
        raise rejected("sessionId is not filled in.")
    if any(state.area_id < 1 for state in states):
        raise rejected("Illegal area id.")
    for state in states:
        sim.check_area(state.session_id, state.area_id)
    return answers(_track(sim, states), HTTPStatus.CREATED)


def _track(sim: Sim, changes: Sequence[AreaStateChange]) -> list[str]:
    bodies: list[str] = []
    with sim.store.commit():
        for change in changes:
            session = str(change.session_id)
            state = AreaState(
                id=sim.store.next_id("area_state", session),
                session_id=change.session_id,
                area_id=change.area_id,
                state=change.state,
                timestamp=sim.clock(),
            )
            body = body_of(state)
            row = {"session": session, "id": state.id, "area": state.area_id, "body": body}
            sim.store.insert("area_state", [row])
            bodies.append(body)
    return bodies
