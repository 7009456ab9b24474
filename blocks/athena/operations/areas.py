"""Areas and their states."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import TypeAdapter

from blocks.athena.transport import Transport, as_json, list_as_json
from models.athena import Area, AreaState, AreaStateChange, AreaType

_AREA = TypeAdapter(Area)
_AREAS = TypeAdapter(tuple[Area, ...])
_STATE = TypeAdapter(AreaState)
_STATES = TypeAdapter(tuple[AreaState, ...])


class AreaOperations(Transport):
    """Tags Area and AreaState."""

    async def get_area(self, session_id: UUID, area_id: int) -> Area:
        """Return an area; AthenaNotFound when there is none."""
        return await self._call("GET", f"Session/{session_id}/Area/{area_id}", _AREA)

    async def find_areas(
        self,
        session_id: UUID,
        *,
        area_type: AreaType | None = None,
        parent_area_id: int | None = None,
    ) -> tuple[Area, ...]:
        """Return a session's areas, of one type or parent where given."""
        return await self._call(
            "GET",
            f"Session/{session_id}/Areas",
            _AREAS,
            query={"areaType": area_type, "parentAreaId": parent_area_id},
        )

    async def find_child_areas(self, session_id: UUID, parent_area_id: int) -> tuple[Area, ...]:
        """Return the areas inside an area."""
        path = f"Session/{session_id}/Area/{parent_area_id}/Areas"
        return await self._call("GET", path, _AREAS)

    async def register_area(self, area: Area) -> Area:
        """Register an area; AthenaConflict when it exists."""
        return await self._call("POST", "Area", _AREA, body=as_json(area))

    async def put_area(self, area: Area) -> tuple[Area, ...]:
        """Register an area or update it."""
        return await self._call("PUT", "Area", _AREAS, body=as_json(area))

    async def register_areas(self, areas: Sequence[Area]) -> tuple[Area, ...]:
        """Register areas; AthenaConflict, and none registered, when any exists."""
        return await self._call("POST", "Areas", _AREAS, body=list_as_json(_AREAS, areas))

    async def put_areas(self, areas: Sequence[Area]) -> None:
        """Register areas or update them."""
        await self._do("PUT", "Areas", body=list_as_json(_AREAS, areas))

    async def get_area_state(self, session_id: UUID, area_state_id: int) -> AreaState:
        """Return one tracked state by its id."""
        path = f"Session/{session_id}/AreaState/{area_state_id}"
        return await self._call("GET", path, _STATE)

    async def latest_area_state(self, session_id: UUID, area_id: int) -> AreaState:
        """Return an area's latest state; AthenaNotFound when it has none."""
        path = f"Session/{session_id}/Area/{area_id}/LatestAreaState"
        return await self._call("GET", path, _STATE)

    async def find_area_states(
        self,
        session_id: UUID,
        *,
        area_type: AreaType | None = None,
        parent_area_id: int | None = None,
    ) -> tuple[AreaState, ...]:
        """Return the tracked states in a session, of one area type or parent where given."""
        return await self._call(
            "GET",
            f"Session/{session_id}/AreaStates",
            _STATES,
            query={"areaType": area_type, "parentAreaId": parent_area_id},
        )

    async def post_area_state(self, change: AreaStateChange) -> AreaState:
        """Say that an area's state changed."""
        return await self._call("POST", "AreaState", _STATE, body=as_json(change))

    async def post_area_states(self, states: Sequence[AreaState]) -> tuple[AreaState, ...]:
        """Say that the states of many areas changed."""
        return await self._call("POST", "AreaStates", _STATES, body=list_as_json(_STATES, states))
