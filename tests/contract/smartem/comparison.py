"""How our API document differs from the one that SmartEM's clients were written for.

A client is at home when all that it sends is taken and all that it reads is there: so requests may
take more, and answers may tell more, but never the other way round. Names of path parameters are
nobody's business; where their document says nothing of a schema, any answer will do.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

#: What narrows what may be sent, by the words of JSON schema.
_NARROW = ("minimum", "exclusiveMinimum", "maximum", "maxLength", "maxItems", "minItems")
_NARROW_TEXT = ("minLength", "pattern")


@dataclass(frozen=True, order=True)
class Difference:
    """One thing that is otherwise here."""

    #: Such as `GET /grids`.
    operation: str
    #: Where in it: `body.uuid`, `answer.[].name`, `query.count`.
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.where}: {self.what}"


def operations(document: Json) -> dict[str, Json]:
    """Return the operations by method and path, without the names of path parameters."""
    return {
        f"{method.upper()} {re.sub('{[^}]*}', '{}', path)}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "put", "post", "delete", "patch"}
    }


def differences(theirs: Json, ours: Json) -> Iterator[Difference]:
    """Yield what is otherwise in operations that both have."""
    here = operations(ours)
    for name, operation in operations(theirs).items():
        if name in here:
            comparison = _Comparison(theirs, ours, name)
            yield from sorted(set(comparison.of(operation, here[name])))


class _Comparison:
    def __init__(self, theirs: Json, ours: Json, operation: str) -> None:
        self._theirs, self._ours, self._operation = theirs, ours, operation

    def of(self, old: Json, new: Json) -> Iterator[Difference]:
        yield from self._parameters(old, new)
        yield from self._body(old.get("requestBody"), new.get("requestBody"))
        yield from self._answers(old["responses"], new["responses"])

    def _found(self, where: str, what: str) -> Difference:
        return Difference(self._operation, where, what)

    def _parameters(self, old: Json, new: Json) -> Iterator[Difference]:
        known, here = (
            {(one["in"], one["name"]): one for one in which.get("parameters", ())}
            for which in (old, new)
        )
        for (place, name), one in known.items():
            if place == "path":
                continue
            where = f"{place}.{name}"
            if (place, name) not in here:
                yield self._found(where, "is not taken")
                continue
            yield from self._taken(one["schema"], here[place, name]["schema"], where)
        for (place, name), one in here.items():
            was = place == "path" or known.get((place, name), {}).get("required")
            if one.get("required") and not was:
                yield self._found(f"{place}.{name}", "is required")
        paths = [
            [one for one in which.get("parameters", ()) if one["in"] == "path"]
            for which in (old, new)
        ]
        for their, our in zip(*paths, strict=True):
            yield from self._taken(their["schema"], our["schema"], "path")

    def _body(self, old: Json | None, new: Json | None) -> Iterator[Difference]:
        if old is None:
            if new is not None and new.get("required"):
                yield self._found("body", "is required")
            return
        if new is None:
            yield self._found("body", "is not taken")
            return
        their, our = (one["content"]["application/json"]["schema"] for one in (old, new))
        yield from self._taken(their, our, "body")

    def _answers(self, old: Json, new: Json) -> Iterator[Difference]:
        for status, answer in old.items():
            if status not in new:
                yield self._found(f"answer {status}", "is never given")
                continue
            if int(status) >= HTTPStatus.BAD_REQUEST:
                if set(answer.get("content", {})) - set(new[status].get("content", {})):
                    yield self._found(f"answer {status}", "is a problem document")
                continue
            their = answer.get("content", {}).get("application/json", {}).get("schema")
            our = new[status].get("content", {}).get("application/json", {}).get("schema")
            if their and our is None:
                yield self._found(f"answer {status}", "has no schema")
            elif their:
                yield from self._given(their, our, "answer")

    def _taken(self, old: Json, new: Json, where: str) -> Iterator[Difference]:
        """Yield what a client may send that we would refuse."""
        theirs = {kind: one for one in self._kinds(old, self._theirs) for kind in _types(one)}
        ours = {kind: one for one in self._kinds(new, self._ours) for kind in _types(one)}
        if "any" in ours:
            return
        for kind, their in theirs.items():
            our = ours.get(kind) or (ours.get("number") if kind == "integer" else None)
            if our is None:
                yield self._found(where, f"does not take {kind}")
                continue
            yield from self._narrower(their, our, where)
            if kind == "array":
                yield from self._taken(their["items"], our["items"], f"{where}.[]")
            if kind == "object" and "properties" in their:
                yield from self._fields_taken(their, our, where)

    def _narrower(self, their: Json, our: Json, where: str) -> Iterator[Difference]:
        allowed = _values(our)
        if allowed is not None and not (_values(their) or {object()}) <= allowed:
            yield self._found(where, "takes fewer values")
        if our.get("format") == "uuid" != their.get("format"):
            yield self._found(where, "must be a uuid")
        if any(word in our and word not in their for word in _NARROW):
            yield self._found(where, "has limits")
        if any(word in our and word not in their for word in _NARROW_TEXT):
            yield self._found(where, "must have a form")

    def _fields_taken(self, their: Json, our: Json, where: str) -> Iterator[Difference]:
        known = our.get("properties", {})
        for name, schema in their["properties"].items():
            if name in known:
                yield from self._taken(schema, known[name], f"{where}.{name}")
            elif our.get("additionalProperties") is False:
                yield self._found(f"{where}.{name}", "is refused")
            else:
                yield self._found(f"{where}.{name}", "is ignored")
        for name in set(our.get("required", ())) - set(their.get("required", ())):
            yield self._found(f"{where}.{name}", "is required")

    def _given(self, old: Json, new: Json, where: str) -> Iterator[Difference]:
        """Yield what we may answer that a client does not expect."""
        theirs = {kind: one for one in self._kinds(old, self._theirs) for kind in _types(one)}
        if "any" in theirs:
            return
        for our in self._kinds(new, self._ours):
            for kind in _types(our):
                their = theirs.get(kind) or (theirs.get("number") if kind == "integer" else None)
                if their is None:
                    yield self._found(where, f"may be {kind}")
                    continue
                expected, given = _values(their), _values(our)
                if expected is not None and (given is None or not given <= expected):
                    yield self._found(where, "may be another value")
                if kind == "array" and not _is_chosen(our["items"]):
                    yield from self._given(their["items"], our["items"], f"{where}.[]")
                if kind == "object":
                    yield from self._fields_given(their, our, where)

    def _fields_given(self, their: Json, our: Json, where: str) -> Iterator[Difference]:
        known = our.get("properties", {})
        for name, schema in their.get("properties", {}).items():
            if name not in known:
                yield self._found(f"{where}.{name}", "is missing")
                continue
            yield from self._given(schema, known[name], f"{where}.{name}")
            if name in their.get("required", ()) and name not in our.get("required", ()):
                yield self._found(f"{where}.{name}", "may be missing")
        values = their.get("additionalProperties")
        if isinstance(values, dict) and isinstance(our.get("additionalProperties"), dict):
            yield from self._given(values, our["additionalProperties"], f"{where}.*")

    def _kinds(self, schema: Json, document: Json) -> Iterator[Json]:
        """Yield the alternatives of a schema."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", maxsplit=1)[1]
            yield from self._kinds(document["components"]["schemas"][name], document)
            return
        several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if several is None:
            yield schema
            return
        for one in several:
            yield from self._kinds(one, document)


def _types(schema: Json) -> list[str]:
    found = schema.get("type", "any")
    if found == "any" and "const" in schema:
        return ["string"]
    return found if isinstance(found, list) else [found]


def _values(schema: Json) -> set[Any] | None:
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None


def _is_chosen(items: Json) -> bool:
    """Whether these are the entities of which `fields` chose a part."""
    return items.get("type") == "object" and "properties" not in items
