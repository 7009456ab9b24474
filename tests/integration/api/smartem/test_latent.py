"""Where models place squares and holes, and what that suggests to image first."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import update
from sqlmodel import col

from models.cryoem.decision_tables import PredictionModel
from models.cryoem.processing_tables import ModelParameter
from models.cryoem.tables import Square
from models.database import Database
from models.sql import insert_ignore
from tests.integration.api.smartem.test_predictions import tell
from tests.integration.models.factories import NOON, hole_body, plant, square_body

Learned = tuple[str, str, float]


def learn(database: Database, grid: UUID, learned: Iterable[Learned]) -> None:
    """Store what model `latent` learned of a grid: group, key and value."""
    rows: list[dict[str, Any]] = [
        {
            "grid_uuid": grid,
            "model_name": "latent",
            "metric_name": "",
            "parameter_group": group,
            "key": key,
            "value": value,
            "message_seq": n,
            "message_uuid": uuid4(),
            "updated_at": NOON,
        }
        for n, (group, key, value) in enumerate(learned)
    ]
    with database.transaction() as session:
        insert_ignore(
            session, PredictionModel, [{"name": "latent", "first_seen_at": NOON}], unique=["name"]
        )
        keys = ["grid_uuid", "model_name", "metric_name", "parameter_group", "key"]
        insert_ignore(session, ModelParameter, rows, unique=keys)


def at(uuid: UUID, x: float, y: float | None = None, cluster: int | None = None) -> list[Learned]:
    found: list[Learned] = [(f"coordinates:{uuid}", "x", x)]
    if y is not None:
        found.append((f"coordinates:{uuid}", "y", y))
    if cluster is not None:
        found.append(("cluster_indices", str(uuid), cluster))
    return found


async def test_squares_of_a_grid_are_placed_as_far_as_told(
    client: httpx.AsyncClient, database: Database
):
    site = plant(database, [[11], [21], [31]])
    first, second, _ = site.squares
    learn(database, site.grid, [*at(first, 1.5, -2.5, 3), *at(second, 0.5)])
    found = await client.get(f"/prediction_model/latent/grid/{site.grid}/latent_representation")
    assert sorted(found.json(), key=lambda one: -one["x"]) == [
        {"gridsquare_uuid": str(first), "foilhole_uuid": "", "x": 1.5, "y": -2.5, "index": 3},
        {"gridsquare_uuid": str(second), "foilhole_uuid": "", "x": 0.5, "y": None, "index": None},
    ]


async def test_holes_are_placed_with_their_squares(client: httpx.AsyncClient, database: Database):
    site = plant(database, [[11, 12, 13], [21]], bars=[13])
    first, second, near_bar, elsewhere = site.holes
    told = [*at(first, 1, 2, 0), *at(near_bar, 3, 4, 1), *at(elsewhere, 5, 6, 1)]
    learn(database, site.grid, told)
    path = "/prediction_model/latent/{}/latent_representation"
    on_grid = (await client.get(path.format(f"grid/{site.grid}"))).json()
    assert {one["foilhole_uuid"]: one["gridsquare_uuid"] for one in on_grid} == {
        str(first): str(site.squares[0]),
        str(near_bar): str(site.squares[0]),
        str(elsewhere): str(site.squares[1]),
    }
    on_square = (await client.get(path.format(f"gridsquare/{site.squares[0]}"))).json()
    assert [(one["foilhole_uuid"], one["x"], one["index"]) for one in on_square] == [
        (str(first), 1.0, 0),
        (str(second), None, None),
    ]


async def test_the_better_half_of_squares_is_suggested_two_of_a_cluster(
    client: httpx.AsyncClient, database: Database
):
    site = plant(database, [[n] for n in range(11, 23)])
    with database.transaction() as session:
        session.execute(update(Square).values(atlas_width=100.0))
        narrow = col(Square.uuid) == site.squares[0]
        session.execute(update(Square).where(narrow).values(atlas_width=59.0))
    # The first would be the best, but is too narrow; the next in the order of their values.
    values = [1.0, *(0.9 - n / 20 for n in range(11))]
    tell(database, *(square_body(s, v) for s, v in zip(site.squares, values, strict=True)))
    clusters = [0, 0, 0, 0, 1, None, 1, 1, 0, 0, 0, 0]
    learn(
        database,
        site.grid,
        [
            ("cluster_indices", str(square), cluster)
            for square, cluster in zip(site.squares, clusters, strict=True)
            if cluster is not None
        ],
    )
    path = f"/grid/{site.grid}/prediction_model/model/latent_rep/latent/suggested_squares"
    found = (await client.get(path)).json()
    assert [one["uuid"] for one in found] == [str(site.squares[n]) for n in (1, 2, 4, 6)]
    assert found[0]["gridsquare_id"] == "2"
    assert found[0]["size_width"] == 100


async def test_the_better_half_of_holes_is_suggested_four_of_a_cluster(
    client: httpx.AsyncClient, database: Database
):
    site = plant(database, [range(11, 25), [31]])
    holes = site.holes[:14]
    tell(database, *(hole_body(hole, 1 - n / 20) for n, hole in enumerate(holes)))
    learn(
        database,
        site.grid,
        [("cluster_indices", str(hole), n % 7 // 6) for n, hole in enumerate(holes)],
    )
    path = (
        f"/gridsquares/{site.squares[0]}/prediction_model/model/latent_rep/latent/suggested_holes"
    )
    found = (await client.get(path)).json()
    assert [one["foilhole_id"] for one in found] == ["11", "12", "13", "14", "17"]
    assert {one["gridsquare_uuid"] for one in found} == {str(site.squares[0])}


async def test_what_is_not_there_has_no_places(client: httpx.AsyncClient, database: Database):
    site = plant(database)
    learn(database, site.grid, [])
    for path in (
        f"/prediction_model/stranger/grid/{site.grid}/latent_representation",
        f"/prediction_model/latent/grid/{site.squares[0]}/latent_representation",
        f"/prediction_model/latent/gridsquare/{site.grid}/latent_representation",
        f"/grid/{site.grid}/prediction_model/latent/latent_rep/stranger/suggested_squares",
        f"/gridsquares/{site.grid}/prediction_model/latent/latent_rep/latent/suggested_holes",
    ):
        assert (await client.get(path)).status_code == 404, path
    nothing = f"/grid/{site.grid}/prediction_model/latent/latent_rep/latent/suggested_squares"
    assert (await client.get(nothing)).json() == []
