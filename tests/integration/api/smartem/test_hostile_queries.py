"""SQL in filters, sorts, cursors and names: it finds nothing, breaks nothing, and drops nothing.

The routes and their parameters are those of our document, so a new one is tried as soon as it is
there.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx
from fastapi import FastAPI

from models.database import Database
from tests.integration.api.visibility.world import everything
from tests.session_fixtures import SmallSession

UUID: Final = "6d1f3c52-8e8a-5c0b-9a3e-7f0f7b9a4d11"
SQL: Final = ["' OR 1=1 --", "x'; DROP TABLE grid; --"]
HOSTILE: Final = [*SQL, "%", "\x00", "x" * 20_000, "9" * 40, "0.5", "9999-12-31T23:59:59-14:00"]


def forged(*key: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


#: As ours are written, but of what no list ends with.
CURSORS: Final = [
    forged(*SQL),
    forged("uuid", SQL[0], UUID),
    forged("0001-01-01T00:00:00+14:00", UUID),
    forged(10**30),
    forged(0, "\x00"),
]


def requests(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Return method, path and parameters of what asks for something in a hostile way."""
    for path, operations in document["paths"].items():
        for method in operations.keys() & {"get", "delete"}:
            if path.endswith("/stream"):
                continue  # They never end.
            parameters = operations[method].get("parameters", ())
            names = [one["name"] for one in parameters if one["in"] == "path"]
            url = path.format_map(dict.fromkeys(names, UUID))
            for one in parameters:
                if one["in"] == "query" and method == "get":
                    values = [*HOSTILE, *CURSORS] if one["name"] == "cursor" else HOSTILE
                    yield from ((method, url, {one["name"]: value}) for value in values)
                if one["in"] == "path" and one["schema"].get("format") != "uuid":
                    said = dict.fromkeys(names, UUID)
                    for value in HOSTILE:
                        yield method, path.format_map(said | {one["name"]: quote(value, "")}), {}


def shows_nothing(answer: httpx.Response) -> bool:
    told = answer.json()
    return not (told["items"] if isinstance(told, dict) and "items" in told else told)


async def test_sql_in_a_question_is_a_value_or_refused(
    app: FastAPI, client: httpx.AsyncClient, played: SmallSession, database: Database
) -> None:
    before = everything(database, but=frozenset())
    asked, wrong = 0, []
    for method, url, parameters in requests(app.openapi()):
        answer = await client.request(method, url, params=parameters)
        asked += 1
        fine = shows_nothing(answer) if answer.status_code == 200 else answer.is_client_error
        if not fine:
            wrong.append((method, url[:80], str(parameters)[:80], answer.status_code))

    assert wrong == []
    assert asked > 500
    assert everything(database, but=frozenset()) == before
    # There was something to find.
    for path in ("/grids", "/gridsquares", "/foilholes", "/decisions", "/messages", "/sessions"):
        assert not shows_nothing(await client.get(path)), path
