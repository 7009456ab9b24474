"""The comparison itself: it sees each way in which a client could be disappointed."""

from copy import deepcopy
from typing import Any

import pytest

from tests.contract.smartem.comparison import differences, operations

DOCUMENT: dict[str, Any] = {
    "paths": {
        "/grids/{grid}": {
            "put": {
                "parameters": [
                    {"in": "path", "name": "grid", "required": True, "schema": {"type": "string"}},
                    {"in": "query", "name": "count", "schema": {"type": "integer"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}},
                },
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "array",
                                    "items": {"$ref": "#/components/schemas/A"},
                                }
                            }
                        }
                    }
                },
            }
        }
    },
    "components": {
        "schemas": {
            "A": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "size": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "state": {"type": "string", "enum": ["new", "old"]},
                },
            }
        }
    },
}


def of_a(**properties: Any) -> dict[str, Any]:
    document = deepcopy(DOCUMENT)
    document["components"]["schemas"]["A"]["properties"] |= properties
    return document


def without(*path: str) -> dict[str, Any]:
    document = deepcopy(DOCUMENT)
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return document


def put(document: dict[str, Any]) -> dict[str, Any]:
    return document["paths"]["/grids/{grid}"]["put"]


def test_the_same_document_has_no_differences_and_a_wider_one_neither() -> None:
    wider = of_a(more={"type": "integer"}, name={"type": "string", "description": "Its name."})
    put(wider)["parameters"].append({"in": "query", "name": "new", "schema": {"type": "string"}})
    renamed = deepcopy(DOCUMENT)
    renamed["paths"]["/grids/{uuid}"] = renamed["paths"].pop("/grids/{grid}")
    for ours in (DOCUMENT, wider, renamed):
        assert list(differences(DOCUMENT, ours)) == []
        assert set(operations(ours)) == {"PUT /grids/{}"}


TROUBLE = [
    (of_a(name={"type": "integer"}), "body.name: does not take string"),
    (of_a(name={"type": "integer"}), "answer.[].name: may be integer"),
    (of_a(size={"type": "number"}), "body.size: does not take null"),
    (of_a(name={"type": ["string", "null"]}), "answer.[].name: may be null"),
    (of_a(state={"type": "string", "enum": ["new"]}), "body.state: takes fewer values"),
    (of_a(state={"type": "string"}), "answer.[].state: may be another value"),
    (of_a(name={"type": "string", "format": "uuid"}), "body.name: must be a uuid"),
    (of_a(name={"type": "string", "maxLength": 5}), "body.name: has limits"),
    (of_a(name={"type": "string", "pattern": "^a"}), "body.name: must have a form"),
    (without("components", "schemas", "A", "properties", "size"), "body.size: is ignored"),
    (without("components", "schemas", "A", "properties", "size"), "answer.[].size: is missing"),
    (without("components", "schemas", "A", "required"), "answer.[].name: may be missing"),
]


@pytest.mark.parametrize(("ours", "told"), TROUBLE, ids=[told for _, told in TROUBLE])
def test_what_would_disappoint_a_client_is_told(ours: dict[str, Any], told: str) -> None:
    assert f"PUT /grids/{{}}: {told}" in map(str, differences(DOCUMENT, ours))


def test_what_is_required_besides_is_told() -> None:
    ours = deepcopy(DOCUMENT)
    ours["components"]["schemas"]["A"]["required"] = ["name", "size"]
    put(ours)["parameters"][1]["name"] = "number"
    put(ours)["parameters"][1]["required"] = True
    put(ours)["responses"] = {"202": {}}
    assert [str(one).removeprefix("PUT /grids/{}: ") for one in differences(DOCUMENT, ours)] == [
        "answer 200: is never given",
        "body.size: is required",
        "query.count: is not taken",
        "query.number: is required",
    ]
