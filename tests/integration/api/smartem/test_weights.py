"""How the weights of models changed, as SmartEM's clients read it."""

import httpx
from sqlmodel import Session

from models.cryoem import weights
from models.database import Database
from tests.integration.models.factories import NOON, after
from tests.integration.models.measured import history, motion, photographed, predict, record

MOTION = "motioncorrection"


async def test_each_change_of_a_weight_is_shown_under_its_model(
    client: httpx.AsyncClient, database: Database
):
    site = photographed(database, [[11, 12, 13]])
    for model, value in (("a", 0.9), ("b", 0.2)):
        predict(database, dict.fromkeys(site.holes, value), model)

    def by_hand(session: Session) -> None:
        weights.put(session, site.grid, MOTION, {"a": 0.4, "b": 0.6}, now=NOON)

    with database.transaction() as session:
        by_hand(session)
    measured = [motion(site.grid, 100 + n, hole, 5.0 + n) for n, hole in enumerate((11, 12, 13))]
    record(database, measured, now=after(1))
    found = (await client.get(f"/grid/{site.grid}/model_weights")).json()
    with database.reading() as session:
        expected = history(session, site.grid)
    assert {model: [one["weight"] for one in series] for model, series in found.items()} == {
        model: [row.weight for row in expected if row.model_name == model] for model in ("a", "b")
    }
    first, second = found["a"][:2]
    assert (first["micrograph_uuid"], first["micrograph_quality"], first["weight"]) == (
        None,
        None,
        0.4,
    )
    assert (second["prediction_value"], second["quality_score"], second["micrograph_quality"]) == (
        0.9,
        1.0,
        True,
    )
    assert (await client.get(f"/grid/{site.grid}/model_weights?metric=other")).json() == {}


async def test_a_grid_without_measurements_has_no_weights_yet(
    client: httpx.AsyncClient, database: Database
):
    site = photographed(database, [[11]])
    assert (await client.get(f"/grid/{site.grid}/model_weights")).json() == {}
