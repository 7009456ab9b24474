"""Decisions: registered by us, asked for by the microscope.

Where the contract is silent: a decision whose id exists is stored a second time, so that doubles
can be seen; the latest is the one that came last; a type or plugin not asked for is any.
"""

import asyncio
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Response

from models.athena import AreaType, DecisionRecord, DecisionType, PluginType
from simulators.athena.state import Sim
from simulators.athena.storage import Value
from simulators.athena.wire import (
    API,
    NO_SESSION,
    AreaIdQuery,
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

TypeQuery = Annotated[DecisionType | None, Query(alias="decisionType")]
PluginQuery = Annotated[PluginType | None, Query(alias="pluginType")]


@router.post("/Decision")
async def post_decision(
    sim: Sim, decision: Annotated[DecisionRecord, Depends(one(DecisionRecord))]
) -> Response:
    """Register a decision."""
    sim.check_area(decision.session_id, decision.area_id)
    (body,) = _register(sim, [decision])
    return answer(body, HTTPStatus.CREATED)


@router.post("/Decisions")
async def post_decisions(
    sim: Sim, decisions: Annotated[tuple[DecisionRecord, ...], Depends(many(DecisionRecord))]
) -> Response:
    """Register decisions, all or, when any session or area is unknown, none."""
    if not decisions:
        raise rejected("The collection of decisions is empty.")
    by_session: dict[str, set[int]] = {}
    for decision in decisions:
        by_session.setdefault(str(decision.session_id), set()).add(decision.area_id)
    for session, areas in by_session.items():
        unknown = areas - sim.store.area_ids(session)
        if unknown:
            raise conflict(f"Session {session} does not know areas {sorted(unknown)[:10]}.")
    return answers(_register(sim, decisions), HTTPStatus.CREATED)


def _register(sim: Sim, decisions: Sequence[DecisionRecord]) -> list[str]:
    now = sim.clock()
    rows = [
        _row(
            decision.model_copy(
                update={
                    "id": uuid4() if decision.id in {None, NO_SESSION} else decision.id,
                    "timestamp": decision.timestamp or now,
                }
            )
        )
        for decision in decisions
    ]
    with sim.store.commit():
        sim.store.insert("decision", rows)
    for session in {str(decision.session_id) for decision in decisions}:
        areas = {d.area_id for d in decisions if str(d.session_id) == session}
        # News of a hole is news of its square, which a hole selection is asked of.
        sim.waiters.wake(session, areas | sim.store.parents(session, areas))
    return [str(row["body"]) for row in rows]


def _row(decision: DecisionRecord) -> dict[str, Value]:
    return {
        "session": str(decision.session_id),
        "id": str(decision.id),
        "area": decision.area_id,
        "type": decision.decision_type.value,
        "plugin": decision.plugin_type.value,
        "body": body_of(decision),
    }


@router.get("/Session/{sessionId}/Decision/{decisionId}")
async def get_decision(
    sim: Sim,
    session_id: SessionId,
    decisionId: UUID,  # noqa: N803 (the contract's name)
) -> Response:
    """Return a decision, the later one of doubles."""
    session = sim.check_session(session_id)
    found = sim.store.bodies("decision", {"session": session, "id": str(decisionId)}, latest=True)
    if not found:
        raise not_found(f"Session {session} has no decision {decisionId}.")
    return answer(found[0])


@router.get("/Session/{sessionId}/Decisions")
async def find_decisions(
    sim: Sim,
    session_id: SessionId,
    area_ids: Annotated[list[int] | None, Query(alias="areaIds")] = None,
    decision_type: TypeQuery = None,
    plugin_type: PluginQuery = None,
) -> Response:
    """Return decisions, doubles included, about these areas or, without ids, about all."""
    if any(area < 1 for area in area_ids or ()):
        raise rejected("Illegal area id.")
    session = sim.check_session(session_id)
    return answers(
        sim.store.bodies(
            "decision",
            {"session": session, "type": decision_type, "plugin": plugin_type},
            among=area_ids,
        )
    )


@router.get("/Session/{sessionId}/LatestDecision")
async def latest_decision(
    sim: Sim,
    session_id: SessionId,
    area_id: AreaIdQuery = 0,
    decision_type: TypeQuery = None,
    plugin_type: PluginQuery = None,
) -> Response:
    """Return the latest decision about an area."""
    session = _checked(sim, session_id, area_id)
    found = _latest(sim, session, area_id, decision_type, plugin_type)
    return nothing() if found is None else answer(found)


@router.get("/Session/{sessionId}/TimedDecision")
async def timed_decision(
    sim: Sim,
    session_id: SessionId,
    area_id: AreaIdQuery = 0,
    decision_type: TypeQuery = None,
    timeout: Annotated[int, Query(ge=-(2**31), le=2**31 - 1)] = 0,
    plugin_type: PluginQuery = None,
) -> Response:
    """Return the latest decision about an area as soon as there is one, 204 after `timeout` s."""
    session = _checked(sim, session_id, area_id)
    deadline = asyncio.get_running_loop().time() + timeout
    with sim.waiters.listen(session, area_id) as news:
        while (found := _latest(sim, session, area_id, decision_type, plugin_type)) is None:
            if not await sim.waiters.wait(news, deadline):
                return nothing()
    return answer(found)


def _checked(sim: Sim, session_id: UUID, area_id: int) -> str:
    if area_id < 1:
        raise rejected(f"Illegal area id: {area_id}.")
    return sim.check_area(session_id, area_id)


def _latest(
    sim: Sim,
    session: str,
    area: int,
    decision_type: DecisionType | None,
    plugin_type: PluginType | None,
) -> str | None:
    """Return the latest decision about an area.

    A hole selection asked of a square that was decided hole by hole is put together: the
    latest word on each hole, in one list, as the document's sample shows it.
    """
    asked: dict[str, Value] = {"session": session, "type": decision_type, "plugin": plugin_type}
    holes: set[int] = set()
    if decision_type is DecisionType.FOIL_HOLE_SELECTION:
        holes = sim.store.area_ids(session, area_type=AreaType.FOIL_HOLE, parent=area)
    found = sim.store.bodies("decision", asked, among={area, *holes}, latest=True)
    if not found:
        return None
    latest = json.loads(found[0])
    if latest["areaId"] == area:
        return found[0]
    decided = map(json.loads, sim.store.bodies("decision", asked, among=holes))
    chosen = {decision["areaId"]: decision.get("decisionValue") for decision in decided}
    value = json.dumps([{"areaId": hole, "result": result} for hole, result in chosen.items()])
    return json.dumps({**latest, "areaId": area, "decisionValue": value})


@router.delete("/Session/{sessionId}/Decisions")
async def delete_decisions(
    sim: Sim, session_id: SessionId, area_id: AreaIdQuery = 0, decision_type: TypeQuery = None
) -> Response:
    """Delete the decisions about an area, of one type where given."""
    session = _checked(sim, session_id, area_id)
    with sim.store.commit():
        sim.store.delete("decision", {"session": session, "area": area_id, "type": decision_type})
    return nothing()


@router.delete("/Session/{sessionId}/AllDecisions")
async def delete_all_decisions(sim: Sim, session_id: SessionId) -> Response:
    """Delete all decisions of a session."""
    session = sim.check_session(session_id)
    with sim.store.commit():
        sim.store.delete("decision", {"session": session})
    return nothing()
