"""Sessions, runs and the state of the application."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Response

from models.athena import (
    ApplicationState,
    ApplicationStateChange,
    EngineState,
    Run,
    RunStart,
    RunStop,
    Session,
)
from simulators.athena.state import Sim
from simulators.athena.wire import (
    API,
    NO_SESSION,
    Int32Path,
    SessionId,
    answer,
    answers,
    body_of,
    conflict,
    not_found,
    one,
    rejected,
)

router = APIRouter(prefix=API)


@router.post("/Session")
async def create_session(sim: Sim, session: Annotated[Session, Depends(one(Session))]) -> Response:
    """Register a session, under an id of our making when it has none."""
    if not session.session_name.strip():
        raise rejected("sessionName is empty.")
    ident = session.session_id if session.session_id not in {None, NO_SESSION} else uuid4()
    if sim.store.exists("session", {"id": str(ident)}):
        raise conflict(f"Session {ident} has already been registered.")
    if sim.store.exists("session", {"name": session.session_name}):
        raise conflict(f"A session {session.session_name!r} has already been registered.")
    body = body_of(
        session.model_copy(
            update={"session_id": ident, "timestamp": session.timestamp or sim.clock()}
        )
    )
    with sim.store.commit():
        row = {"id": str(ident), "name": session.session_name, "body": body}
        sim.store.insert("session", [row])
    return answer(body, HTTPStatus.CREATED)


@router.get("/Session")
async def find_session(sim: Sim, sessionName: str | None = None) -> Response:  # noqa: N803 (the contract's name)
    """Return a session by its name."""
    if not sessionName:
        raise rejected("sessionName is empty.")
    found = sim.store.bodies("session", {"name": sessionName})
    if not found:
        raise not_found(f"No session {sessionName!r} has been registered.")
    return answer(found[0])


@router.get("/Sessions")
async def find_sessions(sim: Sim) -> Response:
    """Return all sessions."""
    return answers(sim.store.bodies("session"))


@router.get("/Session/{id}")
async def get_session(sim: Sim, id: UUID) -> Response:  # noqa: A002 (the contract's name)
    """Return a session by its id."""
    session = sim.check_session(id)
    return answer(sim.store.bodies("session", {"id": session})[0])


@router.delete("/Session/{id}")
async def delete_session(sim: Sim, id: UUID) -> Response:  # noqa: A002 (the contract's name)
    """Delete a session and all that belongs to it."""
    session = sim.check_session(id)
    (body,) = sim.store.bodies("session", {"id": session})
    with sim.store.commit():
        sim.store.delete_session(session)
    return answer(body)


@router.get("/Session/{id}/IsRegistered")
async def is_registered(sim: Sim, id: UUID) -> Response:  # noqa: A002 (the contract's name)
    """Tell whether a session exists."""
    return answer("true" if sim.store.exists("session", {"id": str(id)}) else "false")


@router.post("/RunStart")
async def start_run(sim: Sim, start: Annotated[RunStart, Depends(one(RunStart))]) -> Response:
    """Start the next run; nothing in the contract stops an earlier one first."""
    session = sim.check_session(start.session_id)
    number = sim.store.next_id("run", session)
    run = Run(session_id=start.session_id, run_number=number, start_time=sim.clock())
    return _store_run(sim, run)


@router.patch("/RunStop")
async def stop_run(sim: Sim, stop: Annotated[RunStop, Depends(one(RunStop))]) -> Response:
    """Stop a run."""
    run = Run.model_validate_json(_run(sim, stop.session_id, stop.run_number))
    return _store_run(
        sim, run.model_copy(update={"stop_time": sim.clock(), "stop_reason": stop.reason})
    )


@router.get("/Session/{sessionId}/Run/{runNumber}")
async def get_run(sim: Sim, session_id: SessionId, runNumber: Int32Path) -> Response:  # noqa: N803 (the contract's name)
    """Return a run."""
    return answer(_run(sim, session_id, runNumber))


@router.get("/Session/{sessionId}/Runs")
async def find_runs(sim: Sim, session_id: SessionId) -> Response:
    """Return all runs of a session; none is an empty list."""
    return answers(sim.store.bodies("run", {"session": sim.check_session(session_id)}))


def _run(sim: Sim, session_id: UUID, number: int) -> str:
    found = sim.store.bodies("run", {"session": sim.check_session(session_id), "id": number})
    if not found:
        raise not_found(f"Session {session_id} has no run {number}.")
    return found[0]


def _store_run(sim: Sim, run: Run) -> Response:
    body = body_of(run)
    with sim.store.commit():
        row = {"session": str(run.session_id), "id": run.run_number, "body": body}
        sim.store.insert("run", [row], replace=True)
    return answer(body)


@router.get("/CurrentApplicationState")
async def current_application_state(sim: Sim) -> Response:
    """Return the last state that was told; unknown before the first."""
    found = sim.store.bodies("application_state", latest=True)
    unknown = ApplicationState(id=NO_SESSION, state=EngineState.UNKNOWN)
    return answer(found[0] if found else body_of(unknown))


@router.post("/CurrentApplicationState")
async def post_application_state(
    sim: Sim, change: Annotated[ApplicationStateChange, Depends(one(ApplicationStateChange))]
) -> Response:
    """Track a state; the contract has no refusal, so the session need not be known."""
    state = ApplicationState(id=uuid4(), timestamp=sim.clock(), **change.model_dump())
    session = str(change.session_id) if change.session_id else None
    body = body_of(state)
    with sim.store.commit():
        sim.store.insert("application_state", [{"session": session, "body": body}])
    return answer(body, HTTPStatus.CREATED)


@router.get("/Session/{sessionId}/ApplicationStates")
async def find_application_states(sim: Sim, session_id: SessionId) -> Response:
    """Return the tracked states of a session."""
    session = sim.check_session(session_id)
    return answers(sim.store.bodies("application_state", {"session": session}))
