"""The document teaches: each kind of message has an example, and each example is right."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from api.app import create_app
from api.examples import EXAMPLES
from core.settings import Settings
from messaging.doorbell import LocalDoorbell
from models.cryoem.messages import AnyMessage, parse
from models.database import Database


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    database = Database("sqlite://")
    app = create_app(Settings(), database=database, doorbell=LocalDoorbell(), launcher=None)
    database.close()
    return app.openapi()


def kinds() -> set[str]:
    schema = TypeAdapter(AnyMessage).json_schema()
    return set(schema["discriminator"]["mapping"])


def test_each_kind_of_message_has_an_example() -> None:
    assert set(EXAMPLES) == kinds()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_each_example_is_a_message_of_its_kind(kind: str, document: dict[str, Any]) -> None:
    _, message = EXAMPLES[kind]
    assert parse(message).event_type == kind
    schema = {"$ref": "#/components/schemas/Message", "components": document["components"]}
    Draft202012Validator(schema).validate(message)


def test_a_prediction_that_names_no_target_breaks_the_schema(document: dict[str, Any]) -> None:
    message = {**EXAMPLES["foilhole.model_prediction"][1], "foilhole_uuid": None}
    schema = {"$ref": "#/components/schemas/Message", "components": document["components"]}
    assert not Draft202012Validator(schema).is_valid(message)


def test_each_operation_says_what_it_does_and_how_it_fails(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method} {path}"
            assert operation["description"], name
            assert operation["tags"], name
            failures = {status for status in operation["responses"] if status[0] not in "23"}
            assert "503" in failures, name
            for status in failures:
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"], f"{name} {status}"


def test_each_parameter_and_field_is_described(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description"), f"{path} {parameter['name']}"
    ours = ("FoilHoleResponse", "MicrographResponse", "AcquisitionCreateRequest")
    for name in (
        *ours,
        "MessageDetail",
        "SessionDetail",
        "DecisionDetail",
        "Status",
        "SquarePrediction",
    ):
        for field, schema in document["components"]["schemas"][name]["properties"].items():
            assert schema.get("description") or field == "event_type", f"{name}.{field}"


def test_all_references_lead_somewhere(document: dict[str, Any]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [one for item in value.values() for one in references(item)]
        return (
            [one for item in value for one in references(item)] if isinstance(value, list) else []
        )

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known
