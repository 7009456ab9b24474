"""Decisions: what we register and what the microscope asks for."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import TypeAdapter

from blocks.athena.transport import Transport, as_json, list_as_json
from models.athena import DecisionRecord, DecisionType, PluginType

_DECISION = TypeAdapter(DecisionRecord)
_DECISIONS = TypeAdapter(tuple[DecisionRecord, ...])
_MAYBE: TypeAdapter[DecisionRecord | None] = TypeAdapter(DecisionRecord | None)


class DecisionOperations(Transport):
    """Tag Decision."""

    async def post_decision(self, decision: DecisionRecord) -> DecisionRecord:
        """Register a decision; AthenaNotFound when its session or area is unknown.

        Nothing makes this idempotent: after AthenaOutcomeUnknown ask `get_decision` first.
        """
        return await self._call("POST", "Decision", _DECISION, body=as_json(decision))

    async def post_decisions(
        self, decisions: Sequence[DecisionRecord]
    ) -> tuple[DecisionRecord, ...]:
        """Register decisions, all or none; AthenaConflict when a session or area is unknown.

        Nothing makes this idempotent: after AthenaOutcomeUnknown ask `get_decision` first.
        """
        body = list_as_json(_DECISIONS, decisions)
        return await self._call("POST", "Decisions", _DECISIONS, body=body)

    async def get_decision(self, session_id: UUID, decision_id: UUID) -> DecisionRecord:
        """Return a decision by its id; AthenaNotFound when there is none."""
        return await self._call("GET", f"Session/{session_id}/Decision/{decision_id}", _DECISION)

    async def find_decisions(
        self,
        session_id: UUID,
        area_ids: Sequence[int] = (),
        *,
        decision_type: DecisionType | None = None,
        plugin_type: PluginType | None = None,
    ) -> tuple[DecisionRecord, ...]:
        """Return the decisions about these areas, without ids about all areas of the session.

        The ids travel in the address: a few hundred fit into what servers accept (about 8 KB).
        """
        return await self._call(
            "GET",
            f"Session/{session_id}/Decisions",
            _DECISIONS,
            query={
                "areaIds": tuple(area_ids),
                "decisionType": decision_type,
                "pluginType": plugin_type,
            },
        )

    async def latest_decision(
        self,
        session_id: UUID,
        area_id: int,
        decision_type: DecisionType,
        *,
        plugin_type: PluginType | None = None,
    ) -> DecisionRecord | None:
        """Return the latest decision about an area, None when there is none yet."""
        return await self._call(
            "GET",
            f"Session/{session_id}/LatestDecision",
            _MAYBE,
            query={"areaId": area_id, "decisionType": decision_type, "pluginType": plugin_type},
        )

    async def timed_decision(
        self,
        session_id: UUID,
        area_id: int,
        decision_type: DecisionType,
        *,
        timeout: int,
        plugin_type: PluginType | None = None,
    ) -> DecisionRecord | None:
        """Return the latest decision about an area, waited for up to `timeout` seconds, or None.

        For a hole selection the area is the square.
        """
        return await self._call(
            "GET",
            f"Session/{session_id}/TimedDecision",
            _MAYBE,
            query={
                "areaId": area_id,
                "decisionType": decision_type,
                "timeout": timeout,
                "pluginType": plugin_type,
            },
            waits=timeout,
        )

    async def delete_decisions(
        self, session_id: UUID, area_id: int, *, decision_type: DecisionType | None = None
    ) -> None:
        """Delete the decisions about an area, of one type where given."""
        await self._do(
            "DELETE",
            f"Session/{session_id}/Decisions",
            query={"areaId": area_id, "decisionType": decision_type},
        )

    async def delete_all_decisions(self, session_id: UUID) -> None:
        """Delete all decisions of a session."""
        await self._do("DELETE", f"Session/{session_id}/AllDecisions")
