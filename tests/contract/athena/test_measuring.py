"""Requests are counted by operation and by how they ended, never by id."""

import re
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest

from blocks.athena import AthenaClient
from blocks.athena.measuring import operation
from core import metrics
from core.errors import AthenaConflict, AthenaError, AthenaNotFound, AthenaUnavailable
from simulators.athena import create_app
from tests.contract.athena.calls import CALLS, SESSION


def counted(name: str, outcome: str) -> float:
    labels = {"operation": name, "outcome": outcome}
    return metrics.REGISTRY.get_sample_value("athanor_athena_request_seconds_count", labels) or 0.0


async def test_each_operation_of_the_contract_is_counted_under_its_own_name() -> None:
    app = create_app()
    wanted = {name: re.sub(r"\{\w+\}", "{id}", name).replace("/api/v1/", "", 1) for name in CALLS}
    before = {name: counted(label, "ok") for name, label in wanted.items()}
    async with (
        app.router.lifespan_context(app),
        AthenaClient("http://simulator", transport=httpx.ASGITransport(app)) as client,
    ):
        for call in CALLS.values():
            # Nothing has results of CTF here.
            with suppress(AthenaNotFound):
                await call(client)

    for name, label in wanted.items():
        if name != "GET /api/v1/Session/{sessionId}/AlgorithmResult":
            assert counted(label, "ok") > before[name], label


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", f"Session/{SESSION}", "GET Session/{id}"),
        ("GET", f"Session/{SESSION}/Area/12/Areas", "GET Session/{id}/Area/{id}/Areas"),
        ("GET", f"Session/{SESSION}/Area/-3", "GET Session/{id}/Area/{id}"),
        ("POST", "Decisions", "POST Decisions"),
    ],
)
def test_ids_are_left_out_of_the_name(method: str, path: str, name: str) -> None:
    assert operation(method, path) == name


async def test_failures_are_counted_by_their_kind() -> None:
    app = create_app()
    name, post = "GET Session/{id}", "POST Session"
    create = CALLS["POST /api/v1/Session"]
    before = counted(name, "not_found"), counted(post, "conflict")
    async with (
        app.router.lifespan_context(app),
        AthenaClient("http://simulator", transport=httpx.ASGITransport(app)) as client,
    ):
        with pytest.raises(AthenaNotFound):
            await client.get_session(uuid4())
        await create(client)
        with pytest.raises(AthenaConflict):
            await create(client)

    assert (counted(name, "not_found"), counted(post, "conflict")) == (before[0] + 1, before[1] + 1)


async def test_a_service_that_is_away_and_an_answer_that_breaks_the_contract_are_counted() -> None:
    before = counted("GET Version", "unavailable"), counted("GET Version", "error")
    async with AthenaClient("http://127.0.0.1:1") as client:
        with pytest.raises(AthenaUnavailable):
            await client.version()
    wrong = httpx.MockTransport(lambda _: httpx.Response(200, json={"not": "text"}))
    async with AthenaClient("http://simulator", transport=wrong) as client:
        with pytest.raises(AthenaError):
            await client.version()

    assert counted("GET Version", "unavailable") == before[0] + 1
    assert counted("GET Version", "error") == before[1] + 1
