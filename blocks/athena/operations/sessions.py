"""Sessions, runs and the state of the application."""

from uuid import UUID

from pydantic import TypeAdapter

from blocks.athena.transport import Transport, as_json
from models.athena import (
    ApplicationState,
    ApplicationStateChange,
    Run,
    RunStart,
    RunStop,
    Session,
)

_BOOLEAN = TypeAdapter(bool)
_SESSION = TypeAdapter(Session)
_SESSIONS = TypeAdapter(tuple[Session, ...])
_RUN = TypeAdapter(Run)
_RUNS = TypeAdapter(tuple[Run, ...])
_STATE = TypeAdapter(ApplicationState)
_STATES = TypeAdapter(tuple[ApplicationState, ...])


class SessionOperations(Transport):
    """Tags Session, Run and ApplicationState."""

    async def create_session(self, session: Session) -> Session:
        """Register a session; AthenaConflict when its name or id is taken."""
        return await self._call("POST", "Session", _SESSION, body=as_json(session))

    async def get_session(self, session_id: UUID) -> Session:
        """Return a session by its id; AthenaNotFound when there is none."""
        return await self._call("GET", f"Session/{session_id}", _SESSION)

    async def find_session(self, session_name: str) -> Session:
        """Return a session by its name; AthenaNotFound when there is none."""
        return await self._call("GET", "Session", _SESSION, query={"sessionName": session_name})

    async def find_sessions(self) -> tuple[Session, ...]:
        """Return all sessions."""
        return await self._call("GET", "Sessions", _SESSIONS)

    async def is_registered(self, session_id: UUID) -> bool:
        """Tell whether there is a session of this id."""
        return await self._call("GET", f"Session/{session_id}/IsRegistered", _BOOLEAN)

    async def delete_session(self, session_id: UUID) -> Session:
        """Delete a session and return what it was."""
        return await self._call("DELETE", f"Session/{session_id}", _SESSION)

    async def start_run(self, session_id: UUID) -> Run:
        """Say that a run started; each call makes a new run."""
        body = as_json(RunStart(session_id=session_id))
        return await self._call("POST", "RunStart", _RUN, body=body)

    async def stop_run(self, session_id: UUID, run_number: int, reason: str | None = None) -> Run:
        """Say that a run stopped."""
        stop = RunStop(session_id=session_id, run_number=run_number, reason=reason)
        return await self._call("PATCH", "RunStop", _RUN, body=as_json(stop))

    async def get_run(self, session_id: UUID, run_number: int) -> Run:
        """Return a run of a session."""
        return await self._call("GET", f"Session/{session_id}/Run/{run_number}", _RUN)

    async def find_runs(self, session_id: UUID) -> tuple[Run, ...]:
        """Return all runs of a session."""
        return await self._call("GET", f"Session/{session_id}/Runs", _RUNS)

    async def current_application_state(self) -> ApplicationState:
        """Return the current, or last known, state of the microscope's application."""
        return await self._call("GET", "CurrentApplicationState", _STATE)

    async def post_application_state(self, change: ApplicationStateChange) -> ApplicationState:
        """Say what the microscope's application does now."""
        body = as_json(change)
        return await self._call("POST", "CurrentApplicationState", _STATE, body=body)

    async def find_application_states(self, session_id: UUID) -> tuple[ApplicationState, ...]:
        """Return the tracked states of the application in a session."""
        return await self._call("GET", f"Session/{session_id}/ApplicationStates", _STATES)
