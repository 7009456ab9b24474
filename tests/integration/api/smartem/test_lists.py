"""Lists as clients read them: whole or in pages, filtered, sorted, in part, or not at all again."""

import json
from collections.abc import AsyncIterator
from typing import Any, get_args
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.smartem import filters, views
from models.cryoem.tables import Acquisition, AtlasTile, Grid, Hole, Micrograph, Square
from models.database import Database
from models.sql import insert_ignore
from tests.database_fixtures import statements
from tests.integration.models.factories import (
    NOON,
    Site,
    after,
    apply,
    atlas_message,
    image_message,
    plant,
)


def imaged(database: Database, squares: list[range], *, name: str = "visit") -> Site:
    """Make a grid with an atlas, and a micrograph of each hole but the last of each square."""
    site = plant(database, squares, name=name, bars={squares[0][0]})
    taken = [hole for holes in squares for hole in holes[:-1]]
    apply(
        database,
        atlas_message(site.grid, range(1, len(squares) + 1)),
        *(
            image_message(site.grid, stem=f"m{hole}", hole=hole, square=None, acquired_at=after(n))
            for n, hole in enumerate(taken)
        ),
    )
    return site


def rate(database: Database, site: Site) -> None:
    """Give every second hole a quality, the same to two at a time."""
    with database.transaction() as session:
        for n, hole in enumerate(site.holes[::2]):
            values = {"quality": (n // 2) / 10}
            session.execute(update(Hole).where(col(Hole.uuid) == hole).values(**values))


def measured(
    grid: UUID,
    micrograph: UUID,
    name: str,
    value: float,
    distribution: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Return the row of what was measured."""
    return {
        "micrograph_uuid": micrograph,
        "name": name,
        "grid_uuid": grid,
        "value": value,
        "distribution": distribution,
        "message_seq": 1,
        "message_uuid": uuid4(),
        "measured_at": NOON,
    }


async def walk(client: httpx.AsyncClient, path: str, **asked: Any) -> AsyncIterator[list[Any]]:
    """Follow a list from page to page."""
    answer = await client.get(path, params={"limit": 3, **asked})
    while True:
        assert answer.status_code == 200, answer.text
        yield answer.json()
        following = answer.links.get("next")
        assert ("X-Next-Cursor" in answer.headers) == (following is not None)
        if following is None:
            return
        answer = await client.get(following["url"])


SORTS = [
    (path, listing, f"{way}{sort}")
    for path, listing in (
        ("/acquisitions", views.ACQUISITIONS),
        ("/acquisitions/grid-counts", views.GRID_COUNTS),
        ("/grids", views.GRIDS),
        ("/atlases", views.ATLASES),
        ("/atlas-tiles", views.TILES),
        ("/gridsquares", views.SQUARES),
        ("/foilholes", views.HOLES),
        ("/micrographs", views.MICROGRAPHS),
    )
    for sort in listing.sorts
    for way in ("", "-")
]


async def test_each_sort_puts_every_row_on_one_page_in_its_order(
    database: Database, client: httpx.AsyncClient
) -> None:
    for n in range(4):
        rate(database, imaged(database, [range(10 * n, 10 * n + 5)], name=f"visit {n}"))
    for path, listing, sort in SORTS:
        whole = (await client.get(path, params={"sort": sort})).json()
        pages = [page async for page in walk(client, path, sort=sort)]
        assert [row for page in pages for row in page] == whole, (path, sort)
        key = next(iter(listing.view.model_fields))
        assert len({row[key] for row in whole}) == len(whole) >= 4, (path, sort)
        values = [row.get(sort.removeprefix("-")) for row in whole]
        known = [value for value in values if value is not None]
        assert values[len(known) :] == [None] * (len(values) - len(known)), (path, sort)
        if sort.endswith("_id"):
            known = [int(value) for value in known]
        assert known == sorted(known, reverse=sort.startswith("-")), (path, sort)


async def test_a_list_of_any_length_comes_whole_with_few_statements(
    database: Database, client: httpx.AsyncClient
) -> None:
    counts: dict[str, set[int]] = {}
    paths = {path for path, _, _ in SORTS}
    paths |= {"/grids/{0}/gridsquares", "/gridsquares/{1}/foilholes", "/foilholes/{2}/micrographs"}
    for n, size in enumerate((3, 400)):
        site = imaged(database, [range(1000 * n, 1000 * n + size)], name=f"visit {n}")
        for path in paths:
            with statements(database) as seen:
                answer = await client.get(path.format(site.grid, site.squares[0], site.holes[1]))
            assert answer.status_code == 200
            counts.setdefault(path, set()).add(len([one for one in seen if "SELECT" in one]))
    assert all(len(found) == 1 and max(found) <= 5 for found in counts.values()), counts


async def test_a_long_list_streams_as_one_plain_array(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = imaged(database, [range(1_500)])
    async with client.stream("GET", "/foilholes") as answer:
        whole = json.loads(await answer.aread())
    assert {row["uuid"] for row in whole} == {str(hole) for hole in site.holes}
    assert "Link" not in answer.headers
    assert len((await client.get("/foilholes", params={"cursor": ""})).json()) == 100
    assert len((await client.get("/foilholes", params={"limit": 1_000})).json()) == 1_000


async def test_what_clients_know_is_in_each_row(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = imaged(database, [range(10, 13)])
    hole = (await client.get("/foilholes", params={"foilhole_id": 10})).json()[0]
    assert hole["gridsquare_uuid"] == str(site.squares[0])
    assert (hole["gridsquare_id"], hole["foilhole_id"]) == ("1", "10")
    assert (hole["status"], hole["is_near_grid_bar"]) == ("none", True)
    atlas = (await client.get(f"/grids/{site.grid}/atlas")).json()
    assert atlas == (await client.get("/atlases")).json()[0]
    tiles = (await client.get(f"/atlases/{atlas['uuid']}/tiles")).json()
    assert tiles == atlas["tiles"]
    assert (tiles[0]["tile_id"], tiles[0]["position_x"]) == ("1", 10)
    grid = (await client.get("/grids")).json()[0]
    assert (await client.get(f"/acquisitions/{grid['acquisition_uuid']}/grids")).json() == [grid]
    near = await client.get(
        f"/gridsquares/{site.squares[0]}/foilholes", params={"on_square_only": True}
    )
    assert sorted(row["foilhole_id"] for row in near.json()) == ["11", "12"]


async def test_what_was_measured_is_shown_before_what_a_client_said(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = imaged(database, [range(10, 13)])
    (first, second) = (await client.get("/micrographs", params={"sort": "uuid"})).json()
    of = (site.grid, UUID(first["uuid"]))
    rows = [
        measured(*of, "total_motion", 21.5),
        measured(*of, "number_of_particles_selected", 12.0, distribution={"good": 1}),
    ]
    with database.transaction() as session:
        session.execute(update(Micrograph).values(total_motion=1.5, average_motion=0.5))
        insert_ignore(session, CurrentMeasurement, rows, unique=["micrograph_uuid", "name"])
    shown = {row["uuid"]: row for row in (await client.get("/micrographs")).json()}
    assert shown[first["uuid"]]["total_motion"] == 21.5
    assert shown[first["uuid"]]["average_motion"] == 0.5
    assert shown[first["uuid"]]["number_of_particles_selected"] == 12
    assert json.loads(shown[first["uuid"]]["selection_distribution"]) == {"good": 1}
    assert shown[second["uuid"]]["total_motion"] == 1.5


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_grids_that_are_done_are_counted(
    database: Database, client: httpx.AsyncClient
) -> None:
    sites = [imaged(database, [range(10, 13)], name=f"visit {n}") for n in range(3)]
    done = {"status": "grid squares decision completed"}
    with database.transaction() as session:
        session.execute(update(Grid).where(col(Grid.uuid) == sites[0].grid).values(**done))
        of = col(Grid.acquisition_uuid)
        named = [session.scalar(select(of).where(col(Grid.uuid) == s.grid)) for s in sites]
        ended = update(Acquisition).where(col(Acquisition.uuid) == named[1])
        session.execute(ended.values(ended_at=NOON))
    counted = {
        row["acquisition_uuid"]: (row["grids_total"], row["grids_completed"])
        for row in (await client.get("/acquisitions/grid-counts")).json()
    }
    assert [counted[str(uuid)] for uuid in named] == [(1, 1), (1, 1), (1, 0)]


async def test_what_is_deleted_is_on_no_list_nor_what_is_on_it(
    database: Database, client: httpx.AsyncClient
) -> None:
    kept, gone = (imaged(database, [range(n, n + 3)], name=f"visit {n}") for n in (10, 20))
    paths = sorted({path for path, _, _ in SORTS})
    before = {path: len((await client.get(path)).json()) for path in paths}
    with database.transaction() as session:
        of = select(col(Grid.acquisition_uuid)).where(col(Grid.uuid) == gone.grid)
        session.execute(
            update(Acquisition)
            .where(col(Acquisition.uuid).in_(of))
            .values(deleted_at=NOON)
            .execution_options(synchronize_session=False)
        )
    after_that = {path: len((await client.get(path)).json()) for path in paths}
    assert after_that == {path: count // 2 for path, count in before.items()}
    for path in (f"/grids/{gone.grid}/gridsquares", f"/gridsquares/{gone.squares[0]}/foilholes"):
        assert (await client.get(path)).status_code == 404
    with database.transaction() as session:
        for model in (Square, AtlasTile):
            session.execute(update(model).values(deleted_at=NOON))
    assert (await client.get(f"/grids/{kept.grid}/gridsquares")).json() == []
    for path in ("/atlas-tiles", "/foilholes", "/micrographs"):
        assert (await client.get(path)).json() == []
    assert (await client.get("/atlases")).json()[0]["tiles"] == []


FILTERS: list[tuple[str, dict[str, Any], int]] = [
    ("/acquisitions", {"name": "visit 1"}, 1),
    ("/acquisitions", {"status": "started"}, 2),
    ("/acquisitions", {"status": "paused"}, 0),
    ("/acquisitions", {"started_from": "2026-03-01T12:00:00", "started_before": NOON}, 0),
    ("/acquisitions", {"started_from": "2026-03-01T13:00:00+01:00"}, 2),
    ("/grids", {"acquisition_uuid": "ACQUISITION", "status": "none"}, 1),
    ("/grids", {"name": "visit 2"}, 0),
    ("/atlases", {"grid_uuid": "GRID", "acquired_from": NOON}, 1),
    ("/atlas-tiles", {"tile_id": "1"}, 2),
    ("/atlas-tiles", {"atlas_uuid": "GRID"}, 0),
    ("/gridsquares", {"grid_uuid": "GRID", "gridsquare_id": 1}, 1),
    ("/gridsquares", {"selected": True}, 0),
    ("/gridsquares", {"status": "all foil holes registered"}, 0),
    ("/foilholes", {"grid_uuid": "GRID"}, 3),
    ("/foilholes", {"gridsquare_uuid": "SQUARE", "status": "none"}, 3),
    ("/foilholes", {"status": "micrographs detected"}, 0),
    ("/micrographs", {"grid_uuid": "GRID"}, 2),
    ("/micrographs", {"foilhole_uuid": "HOLE"}, 1),
    ("/micrographs", {"acquired_from": after(1)}, 2),
    ("/micrographs", {"acquired_before": after(1), "status": "none"}, 2),
]


async def test_filters_leave_what_they_say(database: Database, client: httpx.AsyncClient) -> None:
    first, _ = (imaged(database, [range(n, n + 3)], name=f"visit {n // 10}") for n in (0, 10))
    grid = (await client.get("/grids", params={"name": "visit 0"})).json()[0]
    words = {
        "ACQUISITION": grid["acquisition_uuid"],
        "GRID": str(first.grid),
        "SQUARE": str(first.squares[0]),
        "HOLE": str(first.holes[0]),
    }
    for path, asked, count in FILTERS:
        given = {name: words.get(str(value), value) for name, value in asked.items()}
        answer = await client.get(path, params={k: str(v) for k, v in given.items()})
        assert (answer.status_code, len(answer.json())) == (200, count), (path, asked, answer.text)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_fields_are_chosen(database: Database, client: httpx.AsyncClient) -> None:
    site = imaged(database, [range(10, 13)])
    for path, fields in (
        ("/foilholes", "status,uuid"),
        ("/micrographs", "total_motion"),
        ("/micrographs", "micrograph_id"),
        ("/atlases", "tiles"),
        (f"/grids/{site.grid}/gridsquares", "uuid,gridsquare_id"),
    ):
        rows = (await client.get(path, params={"fields": fields})).json()
        assert rows
        assert all(set(row) == set(fields.split(",")) for row in rows), path


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("/foilholes", {"sort": "color"}, "sort"),
    ("/foilholes", {"fields": "uuid,color"}, "color"),
    ("/foilholes", {"status": "unheard of"}, "status"),
    ("/foilholes", {"colour": "green"}, "colour"),
    ("/foilholes", {"limit": 0}, "limit"),
    ("/foilholes", {"limit": 1001}, "limit"),
    ("/foilholes", {"cursor": "never ours"}, "cursor"),
    ("/foilholes", {"foilhole_id": 2**63}, "foilhole_id"),
    ("/acquisitions", {"started_from": "9999-12-31T23:59:59-12:00"}, "started_from"),
    ("/acquisitions", {"name": "\x00"}, "name"),
    ("/gridsquares", {"grid_uuid": "1' OR '1'='1"}, "grid_uuid"),
    ("/gridsquares", {"sort": "uuid; DROP TABLE square"}, "sort"),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_has_no_meaning_is_refused(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = imaged(database, [range(10, 15)])
    for path, asked, named in BAD:
        answer = await client.get(path, params=asked)
        assert answer.status_code == 422, (path, asked)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert named in answer.json()["detail"], (path, asked)
    for path in (
        f"/acquisitions/{uuid4()}/grids",
        f"/grids/{uuid4()}/gridsquares",
        f"/grids/{uuid4()}/atlas",
        f"/atlases/{uuid4()}/tiles",
        f"/gridsquares/{uuid4()}/foilholes",
        f"/foilholes/{uuid4()}/micrographs",
    ):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["status"]) == (404, 404), path
    by_id = await client.get("/foilholes", params={"limit": 2, "sort": "foilhole_id"})
    cursor = by_id.headers["X-Next-Cursor"]
    other = await client.get("/foilholes", params={"cursor": cursor, "sort": "-foilhole_id"})
    assert other.status_code == 422
    assert (await client.get(f"/gridsquares/{site.squares[0]}/foilholes")).status_code == 200


async def test_what_did_not_change_is_not_sent_again(
    database: Database, client: httpx.AsyncClient
) -> None:
    site = imaged(database, [range(600)])
    asks: list[dict[str, Any]] = [{"limit": 10}, {"fields": "uuid,quality"}, {}]
    if database.is_sqlite:
        # Which keeps no versions of rows: what is streamed in parts has no ETag there.
        asks = asks[:1]
        assert "ETag" not in (await client.get("/foilholes")).headers
    answers = [await client.get("/foilholes", params=asked) for asked in asks]
    tags = [answer.headers["ETag"] for answer in answers]
    assert len(set(tags)) == len(tags)
    for asked, tag in zip(asks, tags, strict=True):
        for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
            again = await client.get("/foilholes", params=asked, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["ETag"] == tag
    with database.transaction() as session:
        first = min(site.holes, key=str)
        session.execute(update(Hole).where(col(Hole.uuid) == first).values(quality=0.5))
    for asked, tag in zip(asks, tags, strict=True):
        again = await client.get("/foilholes", params=asked, headers={"If-None-Match": tag})
        assert (again.status_code, again.headers["ETag"] == tag) == (200, False)
    whole = {"If-None-Match": (await client.get("/foilholes")).headers.get("ETag", "none")}
    with database.transaction() as session:
        session.execute(update(Hole).where(col(Hole.uuid) == first).values(deleted_at=NOON))
    assert (await client.get("/foilholes", headers=whole)).status_code == 200


async def test_a_change_beside_the_rows_is_noticed(
    database: Database, client: httpx.AsyncClient
) -> None:
    imaged(database, [range(3)])
    (micrograph, _) = (await client.get("/micrographs")).json()
    grid = (await client.get("/grids")).json()[0]["uuid"]
    paths = ("/acquisitions/grid-counts", "/atlases", "/micrographs")
    known = {path: (await client.get(path)).headers["ETag"] for path in paths}
    for path, tag in known.items():
        same = await client.get(path, headers={"If-None-Match": tag})
        assert same.status_code == 304, path
    with database.transaction() as session:
        session.execute(update(Grid).values(status="grid squares decision completed"))
        session.execute(update(AtlasTile).values(image_name="Tile_1"))
        insert_ignore(
            session,
            CurrentMeasurement,
            [measured(UUID(grid), UUID(micrograph["uuid"]), "average_motion", 0.5)],
            unique=["micrograph_uuid", "name"],
        )
    for path, tag in known.items():
        assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 200, path


def test_the_sorts_that_may_be_asked_for_are_those_of_the_lists() -> None:
    offered = {
        filters.AcquisitionQuery: views.GRID_COUNTS,
        filters.GridQuery: views.GRIDS,
        filters.AtlasQuery: views.ATLASES,
        filters.TileQuery: views.TILES,
        filters.SquareQuery: views.SQUARES,
        filters.HoleQuery: views.HOLES,
        filters.MicrographQuery: views.MICROGRAPHS,
    }
    for query, listing in offered.items():
        names = {name.removeprefix("-") for name in get_args(query.model_fields["sort"].annotation)}
        assert names == set(listing.sorts)
