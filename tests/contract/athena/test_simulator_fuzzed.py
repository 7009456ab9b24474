"""The simulator answers whatever a machine can think of as the vendor's document says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance, status_code_conformance
from schemathesis.config import SchemathesisConfig

from tests.contract.athena import vendor
from tests.contract.athena.calls import CALLS, DECISION, SESSION
from tests.contract.athena.threaded import running_in_thread

OPERATIONS = sorted(CALLS)

#: Operations without anything that could be malformed.
WITHOUT_INPUT = {
    "DELETE /api/v1/Configuration",
    "GET /api/v1/Athena/Status",
    "GET /api/v1/Configuration",
    "GET /api/v1/CurrentApplicationState",
    "GET /api/v1/Sessions",
    "GET /api/v1/Version",
}

#: What is known, by the name of a parameter or property.
KNOWN = {
    "sessionId": str(SESSION),
    "sessionName": "Grid_fuzzed",
    "areaId": 1,
    "parentAreaId": 1,
    "areaIds": [1, 2],
    "decisionId": str(DECISION),
    "runNumber": 1,
    "areaStateId": 1,
    "pluginName": "SmartFocusPrediction",
}

#: The document calls every property and parameter optional, and then documents 400 for those that
#: are missing: what is valid to it need not be accepted.
LENIENT = [positive_data_acceptance]


def bounded(examples: int) -> settings:
    """Return settings that make every run the same."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_in_thread() as address:
        yield address


@pytest.fixture(scope="module")
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def schema(shared: Path, url: str) -> Any:
    # A configuration of its own, lest one be read from wherever the tests are started.
    loaded = schemathesis.openapi.from_dict(
        vendor.as_meant(vendor.load(shared)), config=SchemathesisConfig()
    )
    loaded.config.update(base_url=url)
    return loaded


@pytest.fixture
def known(url: str) -> None:
    """Register the session with a square 1, its hole 2, and one of everything, numbered 1."""
    own = {"sessionId": str(SESSION)}
    hole = {**own, "id": 2, "areaType": "foilhole", "parentId": 1}
    decision = {**own, "id": str(DECISION), "areaId": 1, "decisionType": "include"}
    plugin = {"pluginName": KNOWN["pluginName"]}
    with httpx.Client(base_url=url) as client:
        client.delete(f"/api/v1/Session/{SESSION}")
        for path, body in (
            ("Session", {**own, "sessionName": KNOWN["sessionName"]}),
            ("Areas", [{**own, "id": 1, "areaType": "gridsquare"}, hole]),
            ("AreaState", {**own, "areaId": 1, "state": "started"}),
            ("Decision", decision),
            ("NameValueStore", {**own, "areaId": 1, "name": "metadata", "value": "value"}),
            ("RunStart", own),
            ("Configuration", {"smartPluginConfigurations": [plugin]}),
        ):
            client.post(f"/api/v1/{path}", json=body).raise_for_status()
        results = [
            {**own, "areaId": area, "name": "ctf", "result": {"resolution": 3.2, "ok": True}}
            for area in (1, 2)
        ]
        client.post("/simulator/algorithm-results", json=results).raise_for_status()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_valid_request_gets_a_documented_answer(
    schema: Any, http: requests.Session, operation: str
) -> None:
    method, path = operation.split()

    @given(case=schema[path][method].as_strategy())
    @bounded(6)
    def answers(case: Case) -> None:
        _hurry(case)
        case.call_and_validate(session=http, excluded_checks=LENIENT)

    answers()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.usefixtures("known")
def test_any_valid_request_about_what_is_known_gets_a_documented_answer(
    schema: Any, shared: Path, http: requests.Session, operation: str
) -> None:
    document = vendor.Vendor(vendor.load(shared))
    method, path = operation.split()
    statuses: set[int] = set()

    @given(case=schema[path][method].as_strategy())
    @bounded(12)
    def answers(case: Case) -> None:
        _aim(case, document)
        _hurry(case)
        response = case.call_and_validate(session=http, excluded_checks=LENIENT)
        statuses.add(response.status_code)

    answers()
    assert statuses & {200, 201, 204}, f"never done: {statuses}"


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one not in WITHOUT_INPUT])
@pytest.mark.usefixtures("known")
def test_any_malformed_request_is_refused(
    schema: Any, http: requests.Session, operation: str
) -> None:
    method, path = operation.split()

    @given(case=schema[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @bounded(6)
    def answers(case: Case) -> None:
        # ASP.NET answers 400 to what is malformed; the document does not list it everywhere.
        case.call_and_validate(session=http, excluded_checks=[*LENIENT, status_code_conformance])

    answers()


def _hurry(case: Case) -> None:
    if "timeout" in case.query:
        case.query["timeout"] = 0


def _aim(case: Case, document: vendor.Vendor) -> None:
    """Make a request about what is known, wherever it can name it."""
    operation = document.operations[f"{case.method} {case.path}"]
    if operation.name == "POST /api/v1/Session":
        return
    path = {**KNOWN, "id": 1 if "NameValueStore" in case.path else str(SESSION)}
    case.path_parameters.update({name: path[name] for name in operation.parameters("path")})
    query = {**KNOWN, "name": "ctf" if "Algorithm" in case.path else "metadata"}
    asked = [name for name in operation.parameters("query") if name in query]
    case.query.update({name: query[name] for name in asked})
    properties = document.properties(operation)
    named = {**KNOWN, "name": "metadata"} if "NameValueStore" in case.path else KNOWN
    for number, item in enumerate(case.body if isinstance(case.body, list) else [case.body], 100):
        if isinstance(item, dict):
            item.update({name: named[name] for name in properties & named.keys()})
            if "areaType" in properties:
                item["id"] = number
