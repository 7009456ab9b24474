"""Thinks of requests to every operation of a running API, and holds the answers to its document."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, negative_data_rejection, positive_data_acceptance
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation

#: No document says which strings are cursors; and what is unknown in a request is ignored here.
_LENIENT: Final = [positive_data_acceptance, negative_data_rejection]
#: Whether who has no right is refused: has no meaning where nobody is asked who they are.
_IGNORED_AUTH: Final = [one for one in CHECKS.get_all() if one.__name__ == "ignored_auth"]

_PATIENCE: Final = [HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large]

#: Where an id of each kind is found: the list, and the field.
_LISTS: Final = {
    "acquisition_uuid": ("/acquisitions", "uuid"),
    "grid_uuid": ("/grids", "uuid"),
    "atlas_uuid": ("/atlases", "uuid"),
    "tile_uuid": ("/atlas-tiles", "uuid"),
    "gridsquare_uuid": ("/gridsquares", "uuid"),
    "foilhole_uuid": ("/foilholes", "uuid"),
    "micrograph_uuid": ("/micrographs", "uuid"),
}


@dataclass
class Findings:
    """What became of the requests."""

    #: The statuses that each operation answered with, to who may ask.
    statuses: dict[str, set[int]] = field(default_factory=dict)
    cases: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Tell it in a line, and each failure below."""
        told = f"{len(self.statuses)} operations, {self.cases} cases, {len(self.failures)} failures"
        return "\n".join([told, *self.failures])


@dataclass(frozen=True)
class Fuzz:
    """Requests to an API; what is known there is asked for too.

    Where it asks who one is, each request is sent without a token first, or with one that was
    thought up: then everything that is not public refuses it.
    """

    url: str
    mode: GenerationMode
    #: Requests for each operation.
    examples: int
    #: What says who asks; nothing where nobody is asked.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Whether what is known may be deleted while others are still to be asked about it.
    careless: bool = True

    def run(self) -> Findings:
        """Ask for everything."""
        document = httpx.get(f"{self.url}/openapi.json").json()
        schema: Any = schemathesis.openapi.from_dict(document, config=SchemathesisConfig())
        schema.config.update(base_url=self.url)
        known = self._known()
        asked = [
            (method.upper(), path)
            for path, operations in document["paths"].items()
            # Streams never end; tests/integration/api/agent_channel reads them.
            if not path.endswith("/stream")
            for method in operations
            if self.mode == GenerationMode.POSITIVE
            or operations[method].keys() & {"parameters", "requestBody"}
        ]
        findings = Findings()
        with requests.Session() as http:
            for method, path in sorted(asked, key=lambda one: one[0] == "DELETE"):
                ids = {"id": known.get(f"/{path.split('/')[1]}"), **known}
                try:
                    self._ask(schema[path][method], ids, http, findings)
                except FailureGroup as group:
                    findings.failures += [f"{method} {path}: {one}" for one in group.exceptions]
        return findings

    def _ask(
        self,
        operation: Any,
        known: Mapping[str, str | None],
        http: requests.Session,
        findings: Findings,
    ) -> None:
        deletes = operation.method.upper() == "DELETE"
        is_guarded = bool(self.headers) and bool(operation.definition.raw["security"])

        @given(
            case=operation.as_strategy(generation_mode=self.mode),
            aimed=st.booleans() if self.careless or not deletes else st.just(True),
            forged=st.booleans(),
        )
        @settings(
            max_examples=self.examples,
            deadline=None,
            derandomize=True,
            database=None,
            # What fails is told as it was thought of: making it smaller would take minutes.
            phases=[Phase.generate],
            suppress_health_check=_PATIENCE,
        )
        def answers(case: Case, aimed: bool, forged: bool) -> None:
            for name in case.path_parameters or {} if aimed else ():
                case.path_parameters[name] = known.get(name) or case.path_parameters[name]
            findings.cases += 1
            if is_guarded:
                if not forged:
                    case.headers.pop("Authorization", None)
                case.call_and_validate(
                    session=http, additional_checks=[_is_refused], excluded_checks=_LENIENT
                )
            answer = case.call_and_validate(
                session=http,
                headers=dict(self.headers) or None,
                excluded_checks=_LENIENT if self.headers else _LENIENT + _IGNORED_AUTH,
            )
            findings.statuses.setdefault(operation.label, set()).add(answer.status_code)

        answers()

    def _known(self) -> dict[str, str]:
        """Return something that is known, by the part of the path that it fits."""
        with httpx.Client(base_url=self.url, headers=dict(self.headers)) as client:

            def post(path: str, body: Mapping[str, Any]) -> Any:
                return client.post(path, json=body).raise_for_status().json()

            messages = client.get("/messages").json()["items"]
            decisions = client.get("/decisions").json()["items"]
            post("/agent/sessions", {"agent_id": "epu", "session_id": "epu", "mode": "auto"})
            told = {"session_id": "epu", "instruction_type": "agent.status.request"}
            instruction = post("/instructions", told)["instruction_id"]
            post("/prediction_models", {"name": "fuzzed"})
            spare = post("/auth/keys", {"name": "spare", "role": "viewer"})
            grid = client.get("/grids").json()[0]["uuid"]
            atlas, tile = str(uuid4()), {"uuid": str(uuid4()), "tile_id": "1"}
            made = {"uuid": atlas, "grid_uuid": grid, "name": "Atlas"}
            post(f"/grids/{grid}/atlas", {**made, "tiles": [{**tile, "atlas_uuid": atlas}]})
            found = {
                name: rows[0][field]
                for name, (path, field) in _LISTS.items()
                if (rows := client.get(path).json())
            }
        return {
            **found,
            "/messages": messages[0]["id"],
            "/decisions": decisions[0]["id"],
            "/instructions": instruction,
            "instruction_id": instruction,
            "agent_id": "epu",
            "session_id": "epu",
            "prefix": spare["prefix"],
            "metric_name": "motioncorrection",
            "name": "fuzzed",
            "prediction_model_name": "fuzzed",
            "latent_rep_model_name": "fuzzed",
        }


def _is_refused(_context: Any, response: Any, case: Case) -> None:
    """Hold an answer to nobody to 401, where the path led to the operation."""
    astray = case.meta is not None and case.meta.is_negative_at(ParameterLocation.PATH)
    expected = {HTTPStatus.UNAUTHORIZED} | (
        {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED} if astray else set()
    )
    assert response.status_code in expected, f"nobody was answered {response.status_code}"
