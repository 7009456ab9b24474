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


@pytest.fixture
def running(database: Database) -> Iterator[Running]:
    with running_in_thread(database) as found:
        yield found


def known_ids(running: Running) -> dict[str, list[str]]:
    """Return ids that are known, by the part of the path that they fit."""
    with httpx.Client(base_url=running.url) as client:
        messages = client.get("/messages").json()["items"]
        decisions = client.get("/decisions").json()["items"]
    return {
        "/messages": [one["id"] for one in messages],
        "/decisions": [one["id"] for one in decisions],
        "/sessions": [str(running.session.grid)],
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
            for method in operations:
                has_input = operations[method].keys() & {"parameters", "requestBody"}
                if mode == GenerationMode.POSITIVE or has_input:
                    fuzz(method.upper(), path, http)
    if mode == GenerationMode.POSITIVE:
        missed = {name for name, statuses in seen.items() if not statuses & {200, 202}}
        assert missed <= {"POST /messages/{id}/retry"}
