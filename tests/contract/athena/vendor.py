"""The vendor's OpenAPI document as something to check requests and answers with.

Where it is lenient or odd, this is what it is taken to mean:

* `nullable` is OpenAPI 3.0's word; JSON Schema says it with a type.
* An object without properties, as the value of a map (`AlgorithmResultRecord.result`,
  `ProblemDetails.extensions`), is how its generator writes C#'s `object`: any JSON value. Taken
  literally no algorithm could have a result but `{}`.
* `int32` is a range.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jsonschema import Draft202012Validator, FormatChecker

INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}
ANY_OBJECT = {"type": "object", "additionalProperties": False}


def load(shared: Path) -> dict[str, Any]:
    """Return the document as it is."""
    return json.loads((shared / "contracts" / "athena-openapi.json").read_text())


def as_meant(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document with C#'s `object` as any value and int32 as a range."""
    return _meant(copy.deepcopy(dict(document)))


def _meant(node: Any) -> Any:
    if isinstance(node, list):
        return [_meant(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node == ANY_OBJECT:
        return {}
    meant = {key: _meant(value) for key, value in node.items()}
    if node.get("format") == "int32":
        meant |= INT32
    return meant


def _json_schema(node: Any) -> Any:
    """Return OpenAPI 3.0's schema in the words of JSON Schema."""
    if isinstance(node, list):
        return [_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: _json_schema(value) for key, value in node.items() if key != "nullable"}
    if node.get("nullable") is True and isinstance(node.get("type"), str):
        schema["type"] = [node["type"], "null"]
    return schema


@dataclass(frozen=True)
class Operation:
    """One of the 46 operations."""

    method: str
    path: str
    definition: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Method and path template."""
        return f"{self.method} {self.path}"

    def parameters(self, where: str) -> dict[str, Mapping[str, Any]]:
        """Return the parameters in `path` or `query` by name."""
        return {
            one["name"]: one for one in self.definition.get("parameters", ()) if one["in"] == where
        }


class Vendor:
    """The document, ready to check with."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        meant = as_meant(document)
        self.components = _json_schema(meant["components"])
        self.operations = {
            operation.name: operation
            for path, methods in meant["paths"].items()
            for method, definition in methods.items()
            for operation in [Operation(method.upper(), path, definition)]
        }

    def match(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """Return the operation that a request is of, and its path's parameters."""
        found = []
        for operation in self.operations.values():
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path)
            hit = re.fullmatch(pattern, path)
            if hit and operation.method == method:
                found.append((operation, hit.groupdict()))
        assert len(found) == 1, f"{method} {path} is of {[one.name for one, _ in found]}"
        return found[0]

    def properties(self, operation: Operation) -> set[str]:
        """Return the names of the properties of the records in an operation's body."""
        body = operation.definition.get("requestBody")
        if body is None:
            return set()
        schema = body["content"]["application/json"]["schema"]
        record = schema.get("items", schema)["$ref"].rpartition("/")[2]
        return set(self.components["schemas"][record]["properties"])

    def check_request(self, method: str, url: str, body: bytes, media: str | None) -> Operation:
        """Assert that a request is one of the document's; return the operation."""
        parts = urlsplit(url)
        operation, in_path = self.match(method, parts.path)
        for name, parameter in operation.parameters("path").items():
            self._check_text(in_path[name], parameter["schema"], f"{operation.name} {name}")
        declared = operation.parameters("query")
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            assert name in declared, f"{operation.name} has no parameter {name}"
            schema = declared[name]["schema"]
            if schema.get("type") == "array":
                schema = schema["items"]
            self._check_text(value, schema, f"{operation.name} {name}")
        expected = operation.definition.get("requestBody")
        if expected is None:
            assert body == b"", f"{operation.name} takes no body"
        else:
            assert media in expected["content"], f"{operation.name} takes no {media}"
            self._check(json.loads(body), expected["content"][media]["schema"])
        return operation

    def check_answer(
        self, operation: Operation, status: int, media: str | None, body: bytes
    ) -> None:
        """Assert that an answer is one of those documented for the operation."""
        responses = operation.definition["responses"]
        assert str(status) in responses, f"{operation.name} never answers {status}"
        content = responses[str(status)].get("content")
        if content is None:
            return
        assert media in content, f"{operation.name} never answers {media}"
        self._check(json.loads(body), content[media]["schema"])

    def errors(self, value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
        """Return what of a value does not match a schema."""
        whole = {**_json_schema(schema), "components": self.components}
        validator = Draft202012Validator(whole, format_checker=FormatChecker())
        return (error.message for error in validator.iter_errors(value))

    def _check(self, value: Any, schema: Mapping[str, Any]) -> None:
        assert not list(self.errors(value, schema))

    def _check_text(self, text: str, schema: Mapping[str, Any], what: str) -> None:
        readings: list[object] = [text]
        if re.fullmatch(r"-?\d+", text):
            readings.append(int(text))
        assert any(not list(self.errors(one, schema)) for one in readings), f"{what}={text}"
