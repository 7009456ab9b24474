"""Whatever a machine can think of: never a 5xx, and always an answer that our document knows."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.config import SchemathesisConfig

from models.database import Database
from tests.integration.api.threaded import Running, running_in_thread

BOUNDED = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

#: No document says which strings are cursors; and what is unknown in a request is ignored here.
LENIENT = [positive_data_acceptance, negative_data_rejection]

#: What takes more than any one request: something dead, a stream, somebody who is waited for.
NEEDS_MORE = {
    "POST /messages/{id}/retry",
    "POST /agent/{agent_id}/session/{session_id}/heartbeat",
    "POST /agent/{agent_id}/session/{session_id}/instructions/{instruction_id}/ack",
    "POST /instructions",
    "POST /instructions/{id}/approve",
    "POST /instructions/{id}/reject",
}


@pytest.fixture
def running(database: Database) -> Iterator[Running]:
    with running_in_thread(database) as found:
        yield found


def known_ids(running: Running) -> dict[str, list[str]]:
    """Return ids that are known, by the part of the path that they fit."""
    with httpx.Client(base_url=running.url) as client:
        messages = client.get("/messages").json()["items"]
        decisions = client.get("/decisions").json()["items"]
        agent = {"agent_id": "epu", "session_id": "epu", "mode": "auto"}
        client.post("/agent/sessions", json=agent).raise_for_status()
        told = {"session_id": "epu", "instruction_type": "agent.status.request"}
        instruction = client.post("/instructions", json=told).json()
    return {
        "/messages": [one["id"] for one in messages],
        "/decisions": [one["id"] for one in decisions],
        "/sessions": [str(running.session.grid)],
        "/agent": ["epu"],
        "/instructions": [instruction["instruction_id"]],
    }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_any_request_gets_a_documented_answer(running: Running, mode: GenerationMode) -> None:
    document = httpx.get(f"{running.url}/openapi.json").json()
    schema: Any = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
    schema.config.update(base_url=running.url)
    known = known_ids(running)
    seen: dict[str, set[int]] = {}

    def fuzz(method: str, path: str, http: requests.Session) -> None:
        ids = known.get(f"/{path.split('/')[1]}", [])

        @given(
            case=schema[path][method].as_strategy(generation_mode=mode),
            aimed=st.none() | st.sampled_from(ids) if ids else st.none(),
        )
        @BOUNDED
        def answers(case: Case, aimed: str | None) -> None:
            for name in case.path_parameters:
                case.path_parameters[name] = aimed or case.path_parameters[name]
            answer = case.call_and_validate(session=http, excluded_checks=LENIENT)
            seen.setdefault(f"{method} {path}", set()).add(answer.status_code)

        answers()

    with requests.Session() as http:
        for path, operations in document["paths"].items():
            if path.endswith("/stream"):
                continue  # never ends; tests/integration/api/agent_channel reads them
            for method in operations:
                has_input = operations[method].keys() & {"parameters", "requestBody"}
                if mode == GenerationMode.POSITIVE or has_input:
                    fuzz(method.upper(), path, http)
    if mode == GenerationMode.POSITIVE:
        missed = {name for name, statuses in seen.items() if not statuses & {200, 201, 202}}
        assert missed <= NEEDS_MORE
