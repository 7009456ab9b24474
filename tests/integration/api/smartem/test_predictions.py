"""Predictions as SmartEM's clients tell and read them."""

import json
import math
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlmodel import Session, select

from models.cryoem import predictions
from models.cryoem.messages import parse
from models.cryoem.smartem import suggestions
from models.cryoem.weight_tables import HoleScore
from models.database import Database
from models.inbox import InboxMessage
from models.sql import insert_ignore
from tests.database_fixtures import statements
from tests.integration.models.factories import (
    NOON,
    Site,
    arrive,
    hole_body,
    plant,
    square_body,
)
from tests.session_fixtures import RecordingLauncher

MOTION = "motioncorrection"


def tell(database: Database, *bodies: dict[str, Any]) -> None:
    """Let predictions have come in and been worked on."""
    with database.transaction() as session:
        predictions.record(session, arrive(session, *bodies))


def score(database: Database, site: Site, *places: int | None) -> None:
    """Store scores of the holes, the first 1.0, with their places in the order."""
    rows = [
        {
            "hole_uuid": hole,
            "grid_uuid": site.grid,
            "score": 1 / n,
            "suggested_acquisition_index": place,
            "expected": 0.5,
            "uncertainty": 0.1,
            "cost": 1.0,
            "refreshed_at": NOON,
        }
        for n, (hole, place) in enumerate(zip(site.holes, places, strict=True), start=1)
    ]
    with database.transaction() as session:
        insert_ignore(session, HoleScore, rows, unique=["hole_uuid"])


async def known_model(client: httpx.AsyncClient, name: str = "net") -> str:
    assert (await client.post("/prediction_models", json={"name": name})).status_code == 201
    return name


@pytest.mark.parametrize("target", ["foilhole_uuid", "gridsquare_uuid"])
async def test_a_prediction_is_stored_as_a_message_and_worked_on(
    client: httpx.AsyncClient, database: Database, launcher: RecordingLauncher, target: str
):
    site = plant(database)
    model = await known_model(client)
    uuid = {"foilhole_uuid": site.holes[0], "gridsquare_uuid": site.squares[0]}[target]
    body = {"value": 0.25, "prediction_model_name": model, target: str(uuid)}
    answer = await client.post("/quality_predictions", json=body)
    assert answer.status_code == 201
    told = answer.json()
    assert told["value"] == 0.25
    assert told["gridsquare_uuid"] == str(site.squares[0])
    with database.reading() as session:
        row = session.exec(select(InboxMessage)).one()
    assert (told["id"], row.flow, row.key) == (row.seq, "ingest-predictions", str(site.grid))
    assert parse(row.payload).target() == uuid  # type: ignore[union-attr]
    assert launcher.launched == [("ingest-predictions", str(site.grid))]


IMPOSSIBLE: list[tuple[str, dict[str, Any], int]] = [
    ("above 1", {"value": 1.01}, 422),
    ("below 0", {"value": -0.1}, 422),
    ("no number", {"value": "high"}, 422),
    ("two targets", {"gridsquare_uuid": str(UUID(int=1))}, 422),
    ("no target", {"foilhole_uuid": None}, 422),
    ("no uuid", {"foilhole_uuid": "12"}, 422),
    ("unknown hole", {"foilhole_uuid": str(UUID(int=1))}, 404),
    ("unknown model", {"prediction_model_name": "stranger"}, 404),
    ("unknown metric", {"metric_name": "beauty"}, 404),
    ("not finite", {"value": math.nan}, 422),
]


async def test_a_prediction_that_cannot_be_is_refused(
    client: httpx.AsyncClient, database: Database
):
    site = plant(database)
    model = await known_model(client)
    body = {"value": 0.5, "prediction_model_name": model, "foilhole_uuid": str(site.holes[0])}
    for why, change, status in IMPOSSIBLE:
        refused = await client.post(
            "/quality_predictions",
            content=json.dumps({**body, **change}),
            headers={"content-type": "application/json"},
        )
        assert refused.status_code == status, why
        assert refused.headers["content-type"] == "application/problem+json", why
    with database.reading() as session:
        assert session.exec(select(InboxMessage)).all() == []


async def test_grouped_reads_lose_no_rows(client: httpx.AsyncClient, database: Database):
    site = plant(database, [[11, 12]])
    first, second = site.holes
    square = site.squares[0]
    # Models and holes in turn, so that those of one are not neighbours.
    for value in (0.1, 0.2):
        for model in ("a", "b"):
            tell(database, hole_body(first, value, model), hole_body(second, value, model))
            tell(database, hole_body(first, value / 2, model, metric=MOTION))
            tell(database, square_body(square, value, model))
    holes = (await client.get(f"/gridsquares/{square}/foilhole_quality_predictions")).json()
    assert {
        (model, hole): [one["value"] for one in series]
        for model, by_hole in holes.items()
        for hole, series in by_hole.items()
    } == {(model, hole): [0.1, 0.2] for model in ("a", "b") for hole in ("11", "12")}
    path = f"/quality_metric/{MOTION}/gridsquares/{square}/foilhole_quality_predictions"
    of_metric = (await client.get(path)).json()
    assert {model: list(by_hole) for model, by_hole in of_metric.items()} == {
        "a": ["11"],
        "b": ["11"],
    }
    assert [one["value"] for one in of_metric["a"]["11"]] == [0.05, 0.1]
    squares = (await client.get(f"/gridsquares/{square}/quality_predictions")).json()
    assert {model: [one["value"] for one in series] for model, series in squares.items()} == {
        "a": [0.1, 0.2],
        "b": [0.1, 0.2],
    }
    assert {one["gridsquare_uuid"] for one in squares["a"]} == {str(square)}
    counted = (await client.get("/quality_metrics")).json()
    assert (counted["total_predictions"], counted["models_count"]) == (16, 2)
    assert (counted["min_quality"], counted["max_quality"]) == (0.05, 0.2)


async def test_of_no_predictions_nothing_is_made_up(client: httpx.AsyncClient):
    assert (await client.get("/quality_metrics")).json() == {
        "total_predictions": 0,
        "average_quality": None,
        "min_quality": None,
        "max_quality": None,
        "models_count": 0,
    }


async def test_what_is_predicted_in_part_is_shown_in_part(
    client: httpx.AsyncClient, database: Database
):
    site = plant(database, [[11, 12], [21]])
    tell(database, hole_body(site.holes[0], 0.9), hole_body(site.holes[2], 0.3))
    tell(database, hole_body(site.holes[0], 0.4, metric=MOTION))
    on_grid = (await client.get(f"/prediction_model/model/grid/{site.grid}/prediction")).json()
    # The latest, whatever its metric.
    assert [(one["foilhole_uuid"], one["gridsquare_uuid"], one["value"]) for one in on_grid] == [
        (str(site.holes[0]), str(site.squares[0]), 0.4),
        (str(site.holes[2]), str(site.squares[1]), 0.3),
    ]
    path = f"/prediction_model/model/gridsquare/{site.squares[0]}/prediction"
    assert [one["value"] for one in (await client.get(path)).json()] == [0.4]
    tell(database, square_body(site.squares[1], 0.7))
    on_grid = (await client.get(f"/prediction_model/model/grid/{site.grid}/prediction")).json()
    assert [(one["foilhole_uuid"], one["gridsquare_uuid"]) for one in on_grid] == [
        (None, str(site.squares[1]))
    ]


async def test_overall_scores_come_with_their_places(client: httpx.AsyncClient, database: Database):
    site = plant(database, [[11, 12]])
    score(database, site, 1, None)
    found = (await client.get(f"/gridsquare/{site.squares[0]}/overall_prediction")).json()
    assert [(one["value"], one["suggested_acquisition_index"]) for one in found] == [
        (1.0, 1),
        (0.5, 0),
    ]
    assert {one["grid_uuid"] for one in found} == {str(site.grid)}


NOBODY = "00000000-0000-0000-0000-000000000009"


ABSENT = [
    f"/gridsquares/{NOBODY}/quality_predictions",
    f"/gridsquares/{NOBODY}/foilhole_quality_predictions",
    f"/quality_metric/{MOTION}/gridsquares/{NOBODY}/foilhole_quality_predictions",
    "/quality_metric/beauty/gridsquares/{square}/foilhole_quality_predictions",
    f"/gridsquare/{NOBODY}/overall_prediction",
    f"/prediction_model/net/grid/{NOBODY}/prediction",
    "/prediction_model/stranger/grid/{grid}/prediction",
    f"/prediction_model/net/gridsquare/{NOBODY}/prediction",
    "/prediction_model/stranger/gridsquare/{square}/prediction",
    f"/grid/{NOBODY}/model_weights",
]


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, database: Database):
    site = plant(database)
    await known_model(client)
    for path in ABSENT:
        found = await client.get(path.format(grid=site.grid, square=site.squares[0]))
        assert found.status_code == 404, path


SUGGESTIONS: dict[str, Callable[[Session, Site], Any]] = {
    "squares": lambda s, site: suggestions.squares(s, site.grid, "model", "model"),
    "holes": lambda s, site: suggestions.holes(s, site.squares[0], "model", "model"),
}


def test_the_number_of_statements_for_suggestions_does_not_grow_with_the_holes(
    database: Database,
):
    few, many = (
        plant(database, [[11]]),
        plant(database, [range(100 * n, 100 * n + 40) for n in range(1, 5)]),
    )
    for site in (few, many):
        tell(database, *(hole_body(hole, 0.5) for hole in site.holes))

    def counted(read: Callable[[Session, Site], Any], site: Site) -> int:
        with statements(database) as seen, database.reading() as session:
            read(session, site)
        return len([one for one in seen if one.lstrip().startswith("SELECT")])

    for name, read in SUGGESTIONS.items():
        assert counted(read, few) == counted(read, many) <= 7, name
