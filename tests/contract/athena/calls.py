"""One call of the client for each operation of the vendor's document."""

from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

from blocks.athena.client import AthenaClient
from models.athena import (
    AcquisitionState,
    AlgorithmResultType,
    ApplicationStateChange,
    Area,
    AreaState,
    AreaStateChange,
    AreaType,
    DecisionRecord,
    DecisionServiceConfiguration,
    DecisionType,
    EngineState,
    GridType,
    NameValueRecord,
    PluginType,
    Session,
    SmartPluginConfiguration,
)

SESSION = UUID("3fa85f64-5717-4562-b3fc-2c963f66afa6")
DECISION = UUID("b5cdbfb9-bd0f-414e-93f8-0abca3331f8e")

SQUARE = Area(session_id=SESSION, id=12, area_type=AreaType.GRID_SQUARE)
HOLE = Area(session_id=SESSION, id=1213, area_type=AreaType.FOIL_HOLE, parent_id=12)
STARTED = AreaStateChange(session_id=SESSION, area_id=12, state=AcquisitionState.STARTED)
QUEUED = AreaState(session_id=SESSION, area_id=12, state=AcquisitionState.QUEUED)
SELECTED = DecisionRecord(
    id=DECISION,
    session_id=SESSION,
    area_id=12,
    decision_type=DecisionType.GRID_SQUARE_SELECTION,
    plugin_type=PluginType.CUSTOM,
    decision_value="true",
    decided_by="smartem_ml_model",
    details="0.83 resnet",
)
PLUGIN = SmartPluginConfiguration(
    plugin_name="AutomaticGridSquareSelection", custom_plugin_selection=True
)
VALUE = NameValueRecord(session_id=SESSION, area_id=12, name="metadata", value="value", set_by="us")
CTF = AlgorithmResultType.CTF
SELECTION = DecisionType.GRID_SQUARE_SELECTION

Call = Callable[[AthenaClient], Awaitable[object]]

_SESSION = "/api/v1/Session/{sessionId}"

#: In an order in which a fresh service can answer each with success, where it has results of CTF.
CALLS: Mapping[str, Call] = {
    "GET /api/v1/Athena/Status": lambda c: c.check_status(),
    "GET /api/v1/Version": lambda c: c.version(),
    "POST /api/v1/Session": lambda c: c.create_session(
        Session(session_id=SESSION, session_name="Grid_7 é&?", grid_type=GridType.HOLEY_GOLD)
    ),
    "GET /api/v1/Session": lambda c: c.find_session("Grid_7 é&?"),
    "GET /api/v1/Sessions": lambda c: c.find_sessions(),
    "GET /api/v1/Session/{id}": lambda c: c.get_session(SESSION),
    "GET /api/v1/Session/{id}/IsRegistered": lambda c: c.is_registered(SESSION),
    "POST /api/v1/RunStart": lambda c: c.start_run(SESSION),
    f"GET {_SESSION}/Run/{{runNumber}}": lambda c: c.get_run(SESSION, 1),
    f"GET {_SESSION}/Runs": lambda c: c.find_runs(SESSION),
    "POST /api/v1/CurrentApplicationState": lambda c: c.post_application_state(
        ApplicationStateChange(state=EngineState.RUNNING, session_id=SESSION, area_id=12)
    ),
    "GET /api/v1/CurrentApplicationState": lambda c: c.current_application_state(),
    f"GET {_SESSION}/ApplicationStates": lambda c: c.find_application_states(SESSION),
    "POST /api/v1/Area": lambda c: c.register_area(SQUARE),
    "PUT /api/v1/Area": lambda c: c.put_area(SQUARE),
    "POST /api/v1/Areas": lambda c: c.register_areas([HOLE]),
    "PUT /api/v1/Areas": lambda c: c.put_areas([SQUARE, HOLE]),
    f"GET {_SESSION}/Area/{{areaId}}": lambda c: c.get_area(SESSION, 12),
    f"GET {_SESSION}/Areas": lambda c: c.find_areas(
        SESSION, area_type=AreaType.FOIL_HOLE, parent_area_id=12
    ),
    f"GET {_SESSION}/Area/{{parentAreaId}}/Areas": lambda c: c.find_child_areas(SESSION, 12),
    "POST /api/v1/AreaState": lambda c: c.post_area_state(STARTED),
    "POST /api/v1/AreaStates": lambda c: c.post_area_states([QUEUED]),
    f"GET {_SESSION}/AreaState/{{areaStateId}}": lambda c: c.get_area_state(SESSION, 1),
    f"GET {_SESSION}/Area/{{areaId}}/LatestAreaState": lambda c: c.latest_area_state(SESSION, 12),
    f"GET {_SESSION}/AreaStates": lambda c: c.find_area_states(
        SESSION, area_type=AreaType.GRID_SQUARE
    ),
    "POST /api/v1/Decision": lambda c: c.post_decision(SELECTED),
    "POST /api/v1/Decisions": lambda c: c.post_decisions([SELECTED, SELECTED]),
    f"GET {_SESSION}/Decision/{{decisionId}}": lambda c: c.get_decision(SESSION, DECISION),
    f"GET {_SESSION}/LatestDecision": lambda c: c.latest_decision(
        SESSION, 12, SELECTION, plugin_type=PluginType.CUSTOM
    ),
    f"GET {_SESSION}/TimedDecision": lambda c: c.timed_decision(SESSION, 12, SELECTION, timeout=5),
    f"GET {_SESSION}/Decisions": lambda c: c.find_decisions(
        SESSION, [12, 1213], decision_type=SELECTION, plugin_type=PluginType.CUSTOM
    ),
    f"GET {_SESSION}/AlgorithmResult": lambda c: c.get_algorithm_result(SESSION, 1213, CTF),
    f"GET {_SESSION}/AlgorithmResults": lambda c: c.find_algorithm_results(SESSION, 12, CTF),
    f"GET {_SESSION}/LatestAlgorithmResult": lambda c: c.latest_algorithm_result(SESSION, 12, CTF),
    "POST /api/v1/NameValueStore": lambda c: c.post_value(VALUE),
    "POST /api/v1/NameValueStores": lambda c: c.post_values([VALUE, VALUE]),
    "GET /api/v1/NameValueStore/{sessionId}/Value/{id}": lambda c: c.get_value(SESSION, 1),
    "GET /api/v1/NameValueStore/{sessionId}/Values": lambda c: c.find_values(
        SESSION, area_id=12, name="metadata"
    ),
    "POST /api/v1/Configuration": lambda c: c.post_configuration(
        DecisionServiceConfiguration(smart_plugin_configurations=(PLUGIN,))
    ),
    "GET /api/v1/Configuration": lambda c: c.get_configuration(),
    "PATCH /api/v1/Configuration/Plugin": lambda c: c.patch_plugin(PLUGIN),
    "DELETE /api/v1/Configuration": lambda c: c.delete_configuration(),
    f"DELETE {_SESSION}/Decisions": lambda c: c.delete_decisions(
        SESSION, 12, decision_type=SELECTION
    ),
    f"DELETE {_SESSION}/AllDecisions": lambda c: c.delete_all_decisions(SESSION),
    "PATCH /api/v1/RunStop": lambda c: c.stop_run(SESSION, 1, "acquisition completed"),
    "DELETE /api/v1/Session/{id}": lambda c: c.delete_session(SESSION),
}
