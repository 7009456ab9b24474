"""Every request of the client, and every answer that it takes, is one of the vendor's document."""

from enum import StrEnum
from inspect import getmembers, iscoroutinefunction

import httpx
import pytest

from blocks.athena import AthenaClient
from models import athena
from simulators.athena import create_app
from tests.contract.athena.calls import CALLS, SESSION
from tests.contract.athena.vendor import Operation, Vendor


class Checking(httpx.AsyncBaseTransport):
    """Checks what passes against the document."""

    def __init__(self, inner: httpx.AsyncBaseTransport, document: Vendor) -> None:
        self._inner = inner
        self._document = document
        self.seen: list[Operation] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        operation = self._document.check_request(
            request.method,
            str(request.url),
            await request.aread(),
            request.headers.get("content-type"),
        )
        self.seen.append(operation)
        answer = await self._inner.handle_async_request(request)
        body = await answer.aread()
        media = answer.headers.get("content-type")
        self._document.check_answer(operation, answer.status_code, media, body)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_each_of_the_46_operations_is_asked_and_answered_as_documented(
    document: Vendor,
) -> None:
    app = create_app()
    inner = httpx.ASGITransport(app)
    checking = Checking(inner, document)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=inner, base_url="http://simulator") as control,
        AthenaClient("http://simulator", transport=checking) as client,
    ):
        for name, call in CALLS.items():
            if name == "GET /api/v1/Session/{sessionId}/AlgorithmResult":
                result = {"sessionId": str(SESSION), "areaId": 1213, "name": "ctf"}
                await control.post(
                    "/simulator/algorithm-results", json=[{**result, "result": {"fit": 3.2}}]
                )
            await call(client)
            assert checking.seen[-1].name == name
    assert {operation.name for operation in checking.seen} == set(document.operations)
    assert len(checking.seen) == 46


def test_the_client_has_a_method_for_each_operation_and_no_other() -> None:
    methods = [
        name
        for name, _ in getmembers(AthenaClient, iscoroutinefunction)
        if not name.startswith("_")
    ]

    assert len(methods) - len({"aclose"}) == 46


async def test_many_area_ids_are_repeated_in_the_address() -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json=[])

    async with AthenaClient("http://athena", transport=httpx.MockTransport(answer)) as client:
        await client.find_decisions(SESSION, [1, 2])
        await client.find_decisions(SESSION)

    assert [url.query for url in asked] == [b"areaIds=1&areaIds=2", b""]


def schema_of(document: Vendor, name: str) -> dict[str, object]:
    return document.components["schemas"][name]


@pytest.mark.parametrize(
    "enumeration",
    [
        one
        for _, one in getmembers(athena)
        if isinstance(one, type) and issubclass(one, StrEnum) and one is not StrEnum
    ],
)
def test_enumerations_have_the_documented_names_in_the_documented_order(
    document: Vendor, enumeration: type[StrEnum]
) -> None:
    assert [one.value for one in enumeration] == schema_of(document, enumeration.__name__)["enum"]


def test_each_schema_of_the_document_has_a_model(document: Vendor) -> None:
    assert set(document.components["schemas"]) <= set(vars(athena))


@pytest.mark.parametrize(
    "record",
    [
        one
        for _, one in getmembers(athena)
        if isinstance(one, type) and issubclass(one, athena.Record) and one is not athena.Record
    ],
)
def test_models_have_the_documented_properties(
    document: Vendor, record: type[athena.Record]
) -> None:
    ours = {field.alias for field in record.model_fields.values()}

    assert ours == set(schema_of(document, record.__name__)["properties"])


def test_the_document_still_cannot_write_algorithm_results(document: Vendor) -> None:
    """The simulator's own way to store them goes when the contract gets one."""
    writing = {name for name in document.operations if not name.startswith("GET")}

    assert not [name for name in writing if "AlgorithmResult" in name]
