"""Algorithm results, named values, the configuration of plugins, and the service itself."""

from collections.abc import Sequence
from uuid import UUID

from pydantic import TypeAdapter

from blocks.athena.measuring import measured
from blocks.athena.transport import Transport, as_json, list_as_json
from models.athena import (
    AlgorithmResultRecord,
    AlgorithmResultType,
    DecisionServiceConfiguration,
    NameValueRecord,
    SmartPluginConfiguration,
)

_RESULT = TypeAdapter(AlgorithmResultRecord)
_MAYBE_RESULT: TypeAdapter[AlgorithmResultRecord | None] = TypeAdapter(AlgorithmResultRecord | None)
_MAYBE_RESULTS: TypeAdapter[tuple[AlgorithmResultRecord, ...] | None] = TypeAdapter(
    tuple[AlgorithmResultRecord, ...] | None
)
_VALUE = TypeAdapter(NameValueRecord)
_VALUES = TypeAdapter(tuple[NameValueRecord, ...])
_CONFIGURATION = TypeAdapter(DecisionServiceConfiguration)
_PLUGIN = TypeAdapter(SmartPluginConfiguration)
_TEXT = TypeAdapter(str)


class ValueOperations(Transport):
    """Tags AlgorithmResult, NameValueStore, DecisionServiceConfiguration, Utils and Version.

    The document has no operation that writes an algorithm result.
    """

    async def get_algorithm_result(
        self, session_id: UUID, area_id: int, name: AlgorithmResultType
    ) -> AlgorithmResultRecord:
        """Return an algorithm's result for an area; AthenaNotFound when there is none."""
        return await self._call(
            "GET",
            f"Session/{session_id}/AlgorithmResult",
            _RESULT,
            query={"areaId": area_id, "name": name},
        )

    async def find_algorithm_results(
        self, session_id: UUID, parent_area_id: int, name: AlgorithmResultType
    ) -> tuple[AlgorithmResultRecord, ...]:
        """Return an algorithm's results for the areas inside an area; the service's 204 is ()."""
        found = await self._call(
            "GET",
            f"Session/{session_id}/AlgorithmResults",
            _MAYBE_RESULTS,
            query={"parentAreaId": parent_area_id, "name": name},
        )
        return found or ()

    async def latest_algorithm_result(
        self, session_id: UUID, parent_area_id: int, name: AlgorithmResultType
    ) -> AlgorithmResultRecord | None:
        """Return an algorithm's latest result inside an area, None when there is none yet."""
        return await self._call(
            "GET",
            f"Session/{session_id}/LatestAlgorithmResult",
            _MAYBE_RESULT,
            query={"parentAreaId": parent_area_id, "name": name},
        )

    async def get_value(self, session_id: UUID, value_id: int) -> NameValueRecord:
        """Return a named value by its id."""
        return await self._call("GET", f"NameValueStore/{session_id}/Value/{value_id}", _VALUE)

    async def find_values(
        self, session_id: UUID, *, area_id: int | None = None, name: str | None = None
    ) -> tuple[NameValueRecord, ...]:
        """Return a session's named values, of one area or name where given."""
        return await self._call(
            "GET",
            f"NameValueStore/{session_id}/Values",
            _VALUES,
            query={"areaId": area_id, "name": name},
        )

    async def post_value(self, value: NameValueRecord) -> NameValueRecord:
        """Store a named value; each call makes a new one."""
        return await self._call("POST", "NameValueStore", _VALUE, body=as_json(value))

    async def post_values(self, values: Sequence[NameValueRecord]) -> tuple[NameValueRecord, ...]:
        """Store named values; each call makes new ones."""
        return await self._call(
            "POST", "NameValueStores", _VALUES, body=list_as_json(_VALUES, values)
        )

    async def get_configuration(self) -> DecisionServiceConfiguration:
        """Return the selection of plugins; AthenaNotFound when there is none."""
        return await self._call("GET", "Configuration", _CONFIGURATION)

    async def post_configuration(
        self, configuration: DecisionServiceConfiguration
    ) -> DecisionServiceConfiguration:
        """Replace the selection of plugins."""
        body = as_json(configuration)
        return await self._call("POST", "Configuration", _CONFIGURATION, body=body)

    async def delete_configuration(self) -> None:
        """Delete the selection of plugins."""
        await self._do("DELETE", "Configuration")

    async def patch_plugin(self, plugin: SmartPluginConfiguration) -> SmartPluginConfiguration:
        """Change whether one plugin is ours; AthenaNotFound when it is not configured."""
        return await self._call("PATCH", "Configuration/Plugin", _PLUGIN, body=as_json(plugin))

    async def check_status(self) -> str:
        """Return what the service says of itself: text, whose form is not in the contract."""
        with measured("GET", "Athena/Status"):
            return (await self._send("GET", "Athena/Status")).text

    async def version(self) -> str:
        """Return the version of the service."""
        return await self._call("GET", "Version", _TEXT)
