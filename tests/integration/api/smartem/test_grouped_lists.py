"""What was predicted, weighed and placed, as clients read it: whole, or page by page."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlmodel import Session

from models.cryoem import weights
from models.database import Database
from tests.database_fixtures import statements
from tests.integration.api.smartem.test_latent import at, learn
from tests.integration.api.smartem.test_predictions import MOTION, score, tell
from tests.integration.models.factories import Site, after, hole_body, plant, square_body

#: Path, and how deep its groups are.
PATHS = {
    "/gridsquares/{square}/quality_predictions": 1,
    "/gridsquares/{square}/foilhole_quality_predictions": 2,
    f"/quality_metric/{MOTION}/gridsquares/{{square}}/foilhole_quality_predictions": 2,
    "/prediction_model/b/grid/{grid}/prediction": 0,
    "/prediction_model/a/grid/{grid}/prediction": 0,
    "/prediction_model/a/gridsquare/{square}/prediction": 0,
    "/gridsquare/{square}/overall_prediction": 0,
    "/prediction_model/latent/grid/{grid}/latent_representation": 0,
    "/prediction_model/latent/gridsquare/{square}/latent_representation": 0,
    "/grid/{grid}/model_weights": 1,
    f"/grid/{{grid}}/model_weights?metric={MOTION}": 1,
}


def filled(database: Database, squares: list[range]) -> Site:
    """Make a grid of which everything was told, most of it twice."""
    site = plant(database, squares)
    for value in (0.1, 0.2):
        holes = [
            hole_body(hole, value, model, metric=metric)
            for hole in site.holes
            for model in ("a", "b", "c")
            for metric in (None, MOTION)
        ]
        of_squares = [square_body(square, value, m) for square in site.squares for m in ("b", "c")]
        tell(database, *holes, *of_squares)
    score(database, site, *range(1, len(site.holes) + 1))
    learn(database, site.grid, [one for hole in site.holes for one in at(hole, 0.5, 1.5, 2)])

    def weigh(session: Session) -> None:
        for n in range(2 * len(site.holes)):
            metric = MOTION if n % 3 else "ctfmaxresolution"
            weights.put(session, site.grid, metric, {"a": 0.4, "b": 0.6}, now=after(n // 2))

    with database.transaction() as session:
        weigh(session)
    return site


def flat(found: Any, depth: int, within: tuple[str, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the rows in their order, each with its groups."""
    if depth == 0:
        for row in found:
            yield (*within, row)
        return
    for name, inner in found.items():
        yield from flat(inner, depth - 1, (*within, name))


async def pages(client: httpx.AsyncClient, path: str, limit: int) -> AsyncIterator[Any]:
    """Follow a list from page to page."""
    answer = await client.get(path + ("&" if "?" in path else "?") + f"limit={limit}")
    while True:
        assert answer.status_code == 200, answer.text
        yield answer.json()
        following = answer.links.get("next")
        assert ("X-Next-Cursor" in answer.headers) == (following is not None)
        if following is None:
            return
        answer = await client.get(following["url"])


async def test_each_row_is_on_one_page_in_the_order_of_the_whole(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = filled(database, [range(11, 14), range(21, 23)])
    for path, depth in PATHS.items():
        asked = path.format(grid=site.grid, square=site.squares[0])
        whole = list(flat((await client.get(asked)).json(), depth))
        assert len(whole) >= 2, path
        found: list[tuple[Any, ...]] = []
        async for page in pages(client, asked, 2):
            rows = list(flat(page, depth))
            assert len(rows) <= 2, path
            found += rows
        assert found == whole, path


async def test_a_page_is_as_many_statements_as_any_other(
    database: Database, client: httpx.AsyncClient
) -> None:
    counts: dict[tuple[str, str], set[int]] = {}
    for size in (4, 150):
        site = filled(database, [range(1000 * size, 1001 * size)])
        for path in PATHS:
            asked = path.format(grid=site.grid, square=site.squares[0])
            for limit in ("limit=2", "limit=1000"):
                with statements(database) as seen:
                    answer = await client.get(asked + ("&" if "?" in asked else "?") + limit)
                assert answer.status_code == 200, answer.text
                counted = len([one for one in seen if "SELECT" in one])
                counts.setdefault((path, limit), set()).add(counted)
    # A few, and one for each model or metric that the page comes to.
    odd = {asked: found for asked, found in counts.items() if len(found) > 1 or max(found) > 12}
    assert odd == {}


async def test_a_long_history_streams_as_one_object(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = plant(database, [range(11, 31)])
    for n in range(15):
        bodies = [hole_body(h, n / 100, m) for h in site.holes for m in ("a", "b")]
        tell(database, *bodies)
    path = f"/gridsquares/{site.squares[0]}/foilhole_quality_predictions"
    answer = await client.get(path)
    assert "Link" not in answer.headers
    found = answer.json()
    assert {
        (model, hole): [one["value"] for one in series]
        for model, holes in found.items()
        for hole, series in holes.items()
    } == {
        (model, str(hole)): [n / 100 for n in range(15)]
        for model in ("a", "b")
        for hole in range(11, 31)
    }


async def test_nothing_is_an_empty_list_of_its_shape(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = plant(database)
    for name in ("a", "b", "latent"):
        await client.post("/prediction_models", json={"name": name})
    for path, depth in PATHS.items():
        if "{square}/latent" in path:
            continue
        asked = path.format(grid=site.grid, square=site.squares[0])
        assert (await client.get(asked)).json() == ({} if depth else []), path


async def test_what_is_unchanged_is_not_sent_again(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = filled(database, [range(11, 14)])
    path = f"/gridsquares/{site.squares[0]}/foilhole_quality_predictions"
    etag = (await client.get(path)).headers["ETag"]
    assert (await client.get(path, headers={"If-None-Match": etag})).status_code == 304
    tell(database, hole_body(site.holes[0], 0.7, "a"))
    assert (await client.get(path, headers={"If-None-Match": etag})).status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_cursor_of_another_list_is_refused(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = filled(database, [range(11, 14)])
    first, *others = (p.format(grid=site.grid, square=site.squares[0]) for p in PATHS)
    cursor = (await client.get(first, params={"limit": 1})).headers["X-Next-Cursor"]
    assert (await client.get(first, params={"limit": 1, "cursor": cursor})).status_code == 200
    for path in others:
        url = httpx.URL(path).copy_merge_params({"cursor": cursor})
        assert (await client.get(url)).status_code == 422, path
    for bad in ({"cursor": "bm90aGluZw=="}, {"limit": 0}, {"limit": 1_001}, {"page": 2}):
        assert (await client.get(first, params=bad)).status_code == 422, bad
