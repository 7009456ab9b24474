"""Whatever a machine can think of: never a 5xx, and always an answer that our document knows.

Each run of the tests thinks of a few requests for every operation; `make fuzz` of many.
"""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, negative_data_rejection, positive_data_acceptance
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup

from models.database import Database
from tests.integration.api.threaded import Running, running_in_thread

FEW, MANY = 2, 60
#: No document says which strings are cursors; what is unknown in a request is ignored here; and
#: nobody is asked who they are (`access/test_every_route.py` tries what happens when they are).
LENIENT = [
    positive_data_acceptance,
    negative_data_rejection,
    *(check for check in CHECKS.get_all() if check.__name__ == "ignored_auth"),
]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]

#: What shows what nobody made here: a hold, and pictures.
NEEDS_MORE = {
    "GET /sessions/{grid_uuid}/hold",
    "GET /grids/{grid_uuid}/atlas_image",
    "GET /gridsquares/{gridsquare_uuid}/gridsquare_image",
}

#: Where an id of each kind is found: the list, and the field.
LISTS = {
    "acquisition_uuid": ("/acquisitions", "uuid"),
    "grid_uuid": ("/grids", "uuid"),
    "atlas_uuid": ("/atlases", "uuid"),
    "tile_uuid": ("/atlas-tiles", "uuid"),
    "gridsquare_uuid": ("/gridsquares", "uuid"),
    "foilhole_uuid": ("/foilholes", "uuid"),
    "micrograph_uuid": ("/micrographs", "uuid"),
}


@pytest.fixture
def running(database: Database) -> Iterator[Running]:
    with running_in_thread(database) as found:
        yield found


def known_ids(running: Running) -> dict[str, str]:
    """Return something that is known, by the part of the path that it fits."""
    with httpx.Client(base_url=running.url) as client:
        messages = client.get("/messages").json()["items"]
        decisions = client.get("/decisions").json()["items"]
        agent = {"agent_id": "epu", "session_id": "epu", "mode": "auto"}
        client.post("/agent/sessions", json=agent).raise_for_status()
        told = {"session_id": "epu", "instruction_type": "agent.status.request"}
        instruction = client.post("/instructions", json=told).json()
        client.post("/prediction_models", json={"name": "fuzzed"}).raise_for_status()
        grid = client.get("/grids").json()[0]["uuid"]
        atlas, tile = str(uuid4()), {"uuid": str(uuid4()), "tile_id": "1"}
        made = {"uuid": atlas, "grid_uuid": grid, "name": "Atlas"}
        tiles = [{**tile, "atlas_uuid": atlas}]
        client.post(f"/grids/{grid}/atlas", json={**made, "tiles": tiles}).raise_for_status()
        found = {
            name: rows[0][field]
            for name, (path, field) in LISTS.items()
            if (rows := client.get(path).json())
        }
    return {
        **found,
        "/messages": messages[0]["id"],
        "/decisions": decisions[0]["id"],
        "/instructions": instruction["instruction_id"],
        "instruction_id": instruction["instruction_id"],
        "agent_id": "epu",
        "session_id": "epu",
        "metric_name": "motioncorrection",
        "name": "fuzzed",
        "prediction_model_name": "fuzzed",
        "latent_rep_model_name": "fuzzed",
    }


def fuzz(
    running: Running, mode: GenerationMode, examples: int
) -> tuple[dict[str, set[int]], list[str]]:
    """Ask for everything; return the statuses that each operation answered with, and failures."""
    document = httpx.get(f"{running.url}/openapi.json").json()
    schema: Any = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    schema.config.update(base_url=running.url)
    known = known_ids(running)
    seen: dict[str, set[int]] = {}
    failures: list[str] = []
    bounded = settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def ask(method: str, path: str, http: requests.Session) -> None:
        # What is known is not deleted as long as others are to be asked about it.
        aims = st.just(True) if method != "DELETE" and examples == FEW else st.booleans()
        ids = {"id": known.get(f"/{path.split('/')[1]}"), **known}

        @given(case=schema[path][method].as_strategy(generation_mode=mode), aimed=aims)
        @bounded
        def answers(case: Case, aimed: bool) -> None:
            if aimed:
                for name in case.path_parameters or {}:
                    case.path_parameters[name] = ids.get(name) or case.path_parameters[name]
            answer = case.call_and_validate(session=http, excluded_checks=LENIENT)
            seen.setdefault(f"{method} {path}", set()).add(answer.status_code)

        answers()

    asked = [
        (method.upper(), path)
        for path, operations in document["paths"].items()
        # Streams never end; tests/integration/api/agent_channel reads them.
        if not path.endswith("/stream")
        for method in operations
        if mode == GenerationMode.POSITIVE
        or operations[method].keys() & {"parameters", "requestBody"}
    ]
    with requests.Session() as http:
        for method, path in sorted(asked, key=lambda one: one[0] == "DELETE"):
            try:
                ask(method, path, http)
            except FailureGroup as group:
                failures += [f"{method} {path}: {one}" for one in group.exceptions]
    return seen, failures


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_any_request_gets_a_documented_answer(running: Running, mode: GenerationMode) -> None:
    seen, failures = fuzz(running, mode, FEW)
    assert failures == []
    assert len(seen) > 80


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", MODES)
def test_any_of_many_requests_gets_a_documented_answer(
    running: Running, mode: GenerationMode
) -> None:
    seen, failures = fuzz(running, mode, MANY)
    assert failures == []
    if mode == GenerationMode.POSITIVE:
        missed = {name for name, statuses in seen.items() if min(statuses) >= 300}
        assert {name for name in missed if name.startswith("GET")} <= NEEDS_MORE
