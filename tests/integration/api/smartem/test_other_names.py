"""EPU's files and clients that choose uuids tell of the same grid: each thing is one."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlmodel import col

from api.app import create_app
from core.clock import utcnow
from domains.cryoem import ids
from messaging.doorbell import LocalDoorbell
from models.base import DeliveryState
from models.cryoem.decision_tables import CurrentPrediction
from models.cryoem.messages import Message
from models.cryoem.processing_tables import CurrentMeasurement, HoleGroupMember, ModelParameter
from models.cryoem.tables import Atlas, AtlasTile, Hole, Micrograph, Square, TileSquare
from models.cryoem.waiting import wake_known
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from tests.database_fixtures import statements
from tests.integration.api.smartem.agent import PLACE, new, send, status
from tests.integration.models.factories import atlas_message, image_message
from tests.integration.tasks.message_rig import Plot, Rig
from tests.session_fixtures import Here
from tests.session_fixtures import test_settings as short_settings

MODEL = {"prediction_model_name": "net", "prediction_value": 0.7}


class Client:
    """A client that chooses its own uuids for what is on a grid that EPU's files told of."""

    def __init__(self, client: httpx.AsyncClient, plot: Plot) -> None:
        self.client = client
        self.plot = plot
        self.squares = {1: new(), 2: new()}
        self.holes = {hole: new() for square in (1, 2) for hole in plot.hole_ids(square)}
        self.atlas, self.tile, self.micrograph = new(), new(), new()

    def square_body(self, square: int, **more: Any) -> dict[str, Any]:
        uuid, grid = self.squares[square], str(self.plot.grid)
        return {"uuid": uuid, "gridsquare_id": str(square), "grid_uuid": grid, **more}

    def hole_body(self, hole: int, **more: Any) -> dict[str, Any]:
        square = {"gridsquare_id": str(hole // 10), "gridsquare_uuid": self.squares[hole // 10]}
        return {"uuid": self.holes[hole], "foilhole_id": str(hole), **square, **more}

    def atlas_body(self) -> dict[str, Any]:
        tile = {"uuid": self.tile, "atlas_uuid": self.atlas, "tile_id": "1", "position_x": 5}
        grid = str(self.plot.grid)
        return {"uuid": self.atlas, "grid_uuid": grid, "name": "Its atlas", "tiles": [tile]}

    def micrograph_body(self, hole: int, **more: Any) -> dict[str, Any]:
        # As SmartEM's agent does: no id of its own, but the file of which it read.
        file = f"/mnt/epu/FoilHole_{hole}.xml"
        said = {"foilhole_id": str(hole), "foilhole_uuid": self.holes[hole], "manifest_file": file}
        return {"uuid": self.micrograph, **said, **more}

    async def post_squares(self) -> list[Any]:
        path = f"/grids/{self.plot.grid}/gridsquares"
        return [await send(self.client, "POST", path, self.square_body(n)) for n in self.squares]

    async def post_holes(self, square: int) -> Any:
        path = f"/gridsquares/{self.squares[square]}/foilholes"
        holes = [self.hole_body(hole, center_x=1.5) for hole in self.plot.hole_ids(square)]
        return await send(self.client, "POST", path, holes)

    async def post_all(self) -> None:
        await send(self.client, "POST", f"/grids/{self.plot.grid}/atlas", self.atlas_body())
        await self.post_squares()
        for square in self.squares:
            await self.post_holes(square)
        links = [{"gridsquare_uuid": uuid, **PLACE} for uuid in self.squares.values()]
        await send(self.client, "POST", f"/atlas-tiles/{self.tile}/gridsquares", links)
        path = f"/foilholes/{self.holes[11]}/micrographs"
        await send(self.client, "POST", path, self.micrograph_body(11))


@pytest.fixture
def rig(here: Here) -> Rig:
    return Rig(here.resources)


@pytest.fixture
async def plot(rig: Rig) -> Plot:
    """A grid of which EPU's session file told."""
    made = Plot(squares=2, holes=2)
    await rig.tell(made.session())
    return made


@pytest.fixture
def smartem(client: httpx.AsyncClient, plot: Plot) -> Client:
    return Client(client, plot)


def files(plot: Plot) -> list[Message]:
    """Return all that EPU writes of the grid; the last image does not tell its square."""
    unplaced = image_message(plot.grid, stem="late", square=None, hole=21)
    atlas = atlas_message(plot.grid, (1, 2))
    hole = image_message(plot.grid, "hole", stem="seen", square=1, hole=11)
    return [atlas, *plot.files(), hole, plot.image(11), unplaced]


def uuids(rig: Rig) -> dict[str, set[UUID]]:
    """Return the uuids of all rows."""
    tables = (Atlas, AtlasTile, Square, Hole, Micrograph)
    return {table.__name__: set(rig.all(select(col(table.uuid)))) for table in tables}


def count(rig: Rig, table: Any) -> int:
    return rig.read(lambda session: session.scalar(select(func.count()).select_from(table)))


def assert_all_done(rig: Rig) -> None:
    assert {(row.kind, row.state, row.error) for row in rig.messages() if row.state != "done"} == (
        set()
    )


# Either first -------------------------------------------------------------------------------


async def test_files_are_about_what_a_client_made(rig: Rig, smartem: Client) -> None:
    plot = smartem.plot
    await smartem.post_all()
    before = uuids(rig)
    await rig.tell(*files(plot))

    assert_all_done(rig)
    late = ids.micrograph_uuid(plot.grid, "late")
    assert uuids(rig) == before | {"Micrograph": {UUID(smartem.micrograph), late}}
    assert count(rig, TileSquare) == 2
    (square,) = rig.all(select(Square).where(col(Square.square_id) == 1))
    assert (square.uuid, square.holes_known_at is not None) == (UUID(smartem.squares[1]), True)
    assert (square.observed_at, square.placed_at) != (None, None)
    (hole,) = rig.all(select(Hole).where(col(Hole.hole_id) == 11))
    assert (hole.uuid, hole.square_uuid) == (UUID(smartem.holes[11]), square.uuid)
    assert hole.image_id == "id-seen"
    shot = rig.all(select(Micrograph).order_by(col(Micrograph.stem)))
    assert [one.hole_uuid for one in shot] == [hole.uuid, UUID(smartem.holes[21])]
    assert shot[0].image_id == "id-FoilHole_11"


async def test_files_again_change_nothing(rig: Rig, smartem: Client) -> None:
    await smartem.post_all()
    await rig.tell(*files(smartem.plot))
    before = uuids(rig)
    await rig.tell(*files(smartem.plot))

    assert_all_done(rig)
    assert uuids(rig) == before


async def test_a_client_is_about_what_files_told_of(rig: Rig, smartem: Client) -> None:
    plot = smartem.plot
    await rig.tell(*files(plot))
    before = uuids(rig)
    made = await smartem.post_squares()
    assert [one["uuid"] for one in made] == [str(plot.square_uuid(n)) for n in (1, 2)]
    holes = await smartem.post_holes(1)
    assert [(one["uuid"], one["gridsquare_uuid"], one["center_x"]) for one in holes] == [
        (str(plot.hole_uuid(hole)), str(plot.square_uuid(1)), 1.5) for hole in plot.hole_ids(1)
    ]
    await send(smartem.client, "POST", f"/grids/{plot.grid}/atlas", smartem.atlas_body())
    path = f"/foilholes/{smartem.holes[11]}/micrographs"
    shot = await send(smartem.client, "POST", path, smartem.micrograph_body(11, defocus=-1.0))
    assert (shot["uuid"], shot["defocus"]) == (str(plot.micrograph_uuid(11)), -1.0)
    assert uuids(rig) == before

    # It goes on by the uuids that it chose, in paths and bodies.
    square = f"/gridsquares/{smartem.squares[1]}"
    changed = await send(smartem.client, "PUT", square, smartem.square_body(1, selected=True))
    assert (changed["uuid"], changed["selected"]) == (str(plot.square_uuid(1)), True)
    body = smartem.hole_body(11, diameter=7)
    changed = await send(smartem.client, "PUT", f"/foilholes/{smartem.holes[11]}", body)
    assert (changed["uuid"], changed["diameter"]) == (str(plot.hole_uuid(11)), 7)
    assert await send(smartem.client, "POST", f"{square}/registered?count=2") is True
    links = f"/atlas-tiles/{smartem.tile}/gridsquares"
    linked = await send(
        smartem.client, "POST", links, [{"gridsquare_uuid": smartem.squares[2], **PLACE}]
    )
    assert linked[0]["gridsquare_uuid"] == str(plot.square_uuid(2))
    path = f"/micrographs/{smartem.micrograph}"
    changed = await send(smartem.client, "PUT", path, smartem.micrograph_body(11, defocus=-2.0))
    assert (changed["uuid"], changed["defocus"]) == (str(plot.micrograph_uuid(11)), -2.0)
    assert uuids(rig) == before


async def test_it_is_shown_by_each_of_its_uuids(rig: Rig, smartem: Client) -> None:
    plot = smartem.plot
    await rig.tell(*files(plot))
    await smartem.post_all()
    shown = {
        f"/atlases/{smartem.atlas}": ids.atlas_uuid(plot.grid),
        f"/atlas-tiles/{smartem.tile}": ids.tile_uuid(plot.grid, "1"),
        f"/gridsquares/{smartem.squares[1]}": plot.square_uuid(1),
        f"/foilholes/{smartem.holes[11]}": plot.hole_uuid(11),
        f"/micrographs/{smartem.micrograph}": plot.micrograph_uuid(11),
    }
    for path, uuid in shown.items():
        answer = await smartem.client.get(path, follow_redirects=True)
        assert (answer.status_code, answer.json()["uuid"]) == (200, str(uuid))
    path = f"/gridsquares/{smartem.squares[1]}/foilholes"
    answer = await smartem.client.get(path, params={"limit": 1}, follow_redirects=True)
    assert [one["uuid"] for one in answer.json()] == [
        str(min(plot.hole_uuid(hole) for hole in plot.hole_ids(1)))
    ]
    path = f"/micrographs/{smartem.micrograph}/ctf_estimation/completed"
    answer = await smartem.client.post(path, json={"ctf_max_res": 4.0}, follow_redirects=True)
    assert answer.status_code == 202
    await rig.work()
    (value,) = rig.all(select(CurrentMeasurement))
    assert value.micrograph_uuid == plot.micrograph_uuid(11)
    assert (await smartem.client.get(f"/gridsquares/{new()}")).status_code == 404
    await send(smartem.client, "POST", "/prediction_models", {"name": "net", "description": "x"})
    body = {"value": 0.5, "prediction_model_name": "net", "foilhole_uuid": smartem.holes[11]}
    told = await send(smartem.client, "POST", "/quality_predictions", body)
    assert told["gridsquare_uuid"] == str(plot.square_uuid(1))


# Messages -----------------------------------------------------------------------------------


def named(grid: UUID, uuid: str, own: UUID, ident: tuple[str, Any]) -> list[Mapping[str, Any]]:
    """Return the ways to name a thing: a client's uuid, the one that follows, and EPU's id."""
    return [{"uuid": uuid}, {"uuid": str(own)}, {"grid_uuid": str(grid), ident[0]: ident[1]}]


def as_field(name: str, way: Mapping[str, Any]) -> dict[str, Any]:
    return {name if key == "uuid" else key: value for key, value in way.items()}


@pytest.mark.parametrize("first", ["client", "files"])
async def test_messages_find_it_by_either_uuid_and_by_epus_id(
    rig: Rig, smartem: Client, first: str
) -> None:
    plot = smartem.plot
    if first == "client":
        await smartem.post_all()
    await rig.tell(*files(plot))
    if first == "files":
        await smartem.post_all()
    square, hole, shot = smartem.squares[1], smartem.holes[11], smartem.micrograph
    squares = named(plot.grid, square, plot.square_uuid(1), ("gridsquare_id", 1))
    holes = named(plot.grid, hole, plot.hole_uuid(11), ("foilhole_id", 11))
    shots = named(plot.grid, shot, plot.micrograph_uuid(11), ("micrograph_id", "FoilHole_11"))
    for place, way in enumerate(squares):
        await rig.tell({"event_type": "gridsquare.registered", **way})
        value = {**MODEL, "prediction_model_name": f"net-{place}"}
        await rig.tell(
            {
                "event_type": "gridsquare.model_prediction",
                **value,
                **as_field("gridsquare_uuid", way),
            }
        )
    for place, way in enumerate(holes):
        value = {**MODEL, "prediction_model_name": f"holes-{place}"}
        await rig.tell(
            {"event_type": "foilhole.model_prediction", **value, **as_field("foilhole_uuid", way)}
        )
    both = [hole, str(plot.hole_uuid(11)), smartem.holes[12]]
    group = {"grid_uuid": str(plot.grid), "group_uuid": new(), "foilhole_uuids": both}
    await rig.tell({"event_type": "foilhole.group_create", **group, "foilhole_ids": [11, 12]})
    value = {**MODEL, "prediction_model_name": "group"}
    await rig.tell(
        {
            "event_type": "foilhole.group_model_prediction",
            **value,
            "group_uuid": group["group_uuid"],
        }
    )
    for place, way in enumerate(shots):
        resolution = {"ctf_max_resolution_estimate": 3.0 + place, "foilhole_id": 11}
        body = {"event_type": "ctf.completed", **resolution, **as_field("micrograph_uuid", way)}
        await rig.tell(body)
    for way, entity in (*((w, "gridsquare") for w in squares), *((w, "foilhole") for w in holes)):
        await rig.tell({"event_type": f"{entity}.updated", **way})

    assert_all_done(rig)
    told = {(one.model_name, one.target_uuid) for one in rig.all(select(CurrentPrediction))}
    own = {hole.hole_id: hole.uuid for hole in rig.all(select(Hole))}
    (of_square,) = rig.all(select(col(Square.uuid)).where(col(Square.square_id) == 1))
    assert told == {
        *((f"net-{place}", of_square) for place in range(3)),
        *((f"holes-{place}", own[11]) for place in range(3)),
        *(("group", own[hole]) for hole in (11, 12)),
    }
    assert set(rig.all(select(col(HoleGroupMember.hole_uuid)))) == {own[11], own[12]}
    (measured,) = rig.all(select(CurrentMeasurement))
    (micrograph,) = rig.all(select(Micrograph).where(col(Micrograph.stem) == "FoilHole_11"))
    assert (measured.micrograph_uuid, measured.value) == (micrograph.uuid, 5.0)
    # One each: whoever came first named it.
    chosen = first == "client"
    assert micrograph.uuid == (UUID(shot) if chosen else plot.micrograph_uuid(11))
    assert of_square == (UUID(square) if chosen else plot.square_uuid(1))


async def test_what_models_learn_is_of_it_by_any_uuid(rig: Rig, smartem: Client) -> None:
    plot = smartem.plot
    await rig.tell(*files(plot))
    await smartem.post_all()
    hole, own = smartem.holes[11], {number: plot.hole_uuid(number) for number in (11, 12)}
    places = {"event_type": "grid.model_parameter_update", "grid_uuid": str(plot.grid)}
    for number, uuid in enumerate((hole, plot.hole_uuid(11), plot.hole_uuid(12))):
        said = {**places, "prediction_model_name": "net", "value": float(number)}
        await rig.tell({**said, "group": f"coordinates:{uuid}", "key": "x"})
        await rig.tell({**said, "group": "cluster_indices", "key": str(uuid)})
    learned = {(one.parameter_group, one.key): one.value for one in rig.all(select(ModelParameter))}
    assert learned == {
        **{(f"coordinates:{own[11 + number]}", "x"): 1.0 + number for number in range(2)},
        **{("cluster_indices", str(own[11 + number])): 1.0 + number for number in range(2)},
    }


async def test_what_waits_for_any_of_its_uuids_goes_on(rig: Rig, app: FastAPI, smartem: Client):
    plot = smartem.plot
    await rig.tell(*files(plot))
    prediction = {"event_type": "foilhole.model_prediction", **MODEL}
    await rig.tell({**prediction, "foilhole_uuid": smartem.holes[11]})
    await rig.tell({"event_type": "gridsquare.registered", "uuid": smartem.squares[1]})
    assert rig.states()[-2:] == ["waiting", "waiting"]
    await smartem.post_all()
    await app.state.services.writer.close()
    await rig.work()

    assert_all_done(rig)
    assert rig.all(select(col(CurrentPrediction.target_uuid))) == [plot.hole_uuid(11)]


async def test_those_that_began_to_wait_meanwhile_are_found(rig: Rig, smartem: Client) -> None:
    plot = smartem.plot
    await smartem.post_squares()
    body = {"event_type": "gridsquare.registered", "uuid": str(plot.square_uuid(1))}
    (stored,) = await rig.take(body)
    with rig.database.transaction() as transaction:
        # As if it had looked just before the client came.
        row = transaction.scalars(select(InboxMessage).where(col(InboxMessage.id) == stored)).one()
        row.state, row.waiting_for, row.key = DeliveryState.WAITING, body["uuid"], ""
    with rig.database.transaction() as transaction:
        assert wake_known(transaction, now=utcnow()) == 1
    await rig.work()
    assert_all_done(rig)


@pytest.mark.parametrize("kind", ["file", "event"])
async def test_names_are_looked_for_while_no_client_gives_any(
    rig: Rig, smartem: Client, kind: str
) -> None:
    plot = smartem.plot
    await smartem.post_squares()
    event = {"event_type": "gridsquare.created", "grid_uuid": str(plot.grid), "gridsquare_id": 1}
    await rig.take(plot.square(1) if kind == "file" else event)
    with statements(rig.database) as seen:
        await rig.work()
    assert_all_done(rig)
    looked = next(place for place, one in enumerate(seen) if "entity_alias" in one)
    locked = [place for place, one in enumerate(seen) if "pg_advisory_xact_lock(" in one]
    assert rig.database.is_sqlite or min(locked) < looked


async def test_a_prediction_costs_one_query_more_where_a_client_named_it(
    rig: Rig, smartem: Client
) -> None:
    await smartem.post_squares()
    await smartem.post_holes(1)
    await smartem.post_holes(2)
    for held in ([11], [11, 12, 21, 22]):
        stored = await rig.take(
            *(
                {"event_type": "foilhole.model_prediction", **MODEL, "foilhole_id": hole}
                | {"grid_uuid": str(smartem.plot.grid)}
                for hole in held
            )
        )
        assert len(stored) == len(held)
        with statements(rig.database) as seen:
            await rig.work()
        assert sum("entity_alias" in one for one in seen) == 1


# Deletion -----------------------------------------------------------------------------------


async def test_what_is_deleted_is_deleted_by_any_of_its_uuids_and_comes_back(
    rig: Rig, smartem: Client
) -> None:
    plot = smartem.plot
    await rig.tell(*files(plot))
    await smartem.post_squares()
    path = f"/gridsquares/{smartem.squares[1]}"
    await send(smartem.client, "DELETE", path)
    for uuid in (smartem.squares[1], str(plot.square_uuid(1))):
        answer = await smartem.client.get(f"/gridsquares/{uuid}", follow_redirects=True)
        assert answer.status_code == 404
    # Another uuid for it brings it back, as what it was first.
    smartem.squares[1] = new()
    squares = f"/grids/{plot.grid}/gridsquares"
    again = await send(smartem.client, "POST", squares, smartem.square_body(1))
    assert (again["uuid"], again["selected"]) == (str(plot.square_uuid(1)), None)
    changed = {"selected": True}
    assert (await send(smartem.client, "PUT", f"/gridsquares/{smartem.squares[1]}", changed))[
        "selected"
    ]


async def test_an_event_deletes_what_a_client_named(rig: Rig, smartem: Client) -> None:
    plot = smartem.plot
    await smartem.post_all()
    await rig.tell(
        {"event_type": "foilhole.deleted", "grid_uuid": str(plot.grid), "foilhole_id": 11},
        {"event_type": "foilhole.deleted", "uuid": str(plot.hole_uuid(12))},
        {"event_type": "gridsquare.deleted", "uuid": smartem.squares[2], "gridsquare_id": 2},
    )
    assert_all_done(rig)
    gone = rig.all(select(col(Hole.uuid)).where(col(Hole.deleted_at).is_not(None)))
    assert set(gone) == {UUID(smartem.holes[11]), UUID(smartem.holes[12])}
    await rig.tell(*files(plot))
    assert_all_done(rig)
    assert rig.all(select(col(Hole.uuid)).where(col(Hole.deleted_at).is_not(None))) == []
    assert count(rig, Hole) == 4


# What cannot be -----------------------------------------------------------------------------


async def test_what_contradicts_is_refused(rig: Rig, smartem: Client) -> None:
    plot, client = smartem.plot, smartem.client
    await rig.tell(*files(plot))
    await smartem.post_squares()
    squares = f"/grids/{plot.grid}/gridsquares"
    # The same again, a name of another, one of another square, the same twice.
    assert await status(client, "POST", squares, smartem.square_body(1)) == 409
    other = {**smartem.square_body(2), "uuid": smartem.squares[1]}
    assert await status(client, "POST", squares, other) == 409
    holes = f"/gridsquares/{smartem.squares[2]}/foilholes"
    moved = {**smartem.hole_body(11), "gridsquare_uuid": smartem.squares[2], "gridsquare_id": "2"}
    assert await status(client, "POST", holes, [moved]) == 409
    assert await status(client, "GET", f"/foilholes/{smartem.holes[11]}") == 404
    twice = [smartem.square_body(1, uuid=new()), smartem.square_body(1, uuid=new())]
    assert await status(client, "POST", f"{squares}/batch", {"gridsquares": twice}) == 409
    path = f"/gridsquares/{smartem.squares[1]}"
    assert await status(client, "PUT", path, {"uuid": smartem.squares[2]}) == 422
    body = {"gridsquare_uuid": smartem.squares[2]}
    assert await status(client, "PUT", f"/foilholes/{plot.hole_uuid(11)}", body) == 409
    wrong = {"event_type": "gridsquare.updated", "uuid": smartem.squares[1], "gridsquare_id": 2}
    await rig.tell(wrong)
    last = rig.messages()[-1]
    assert (last.state, "is not the uuid that follows" in str(last.error)) == ("dead", True)


async def test_of_many_at_once_that_name_it_differently_one_is_made(
    rig: Rig, smartem: Client
) -> None:
    path = f"/grids/{smartem.plot.grid}/gridsquares"
    bodies = [smartem.square_body(1, uuid=new()) for _ in range(12)]
    app = create_app(
        short_settings(), database=rig.database, doorbell=LocalDoorbell(), launcher=None
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(base_url="http://other", transport=transport) as other:
        clients = [smartem.client, other] * 6
        made = await asyncio.gather(
            *(send(one, "POST", path, body) for one, body in zip(clients, bodies, strict=True))
        )
        await app.state.services.writer.close()
    assert len({one["uuid"] for one in made}) == 1
    assert count(rig, Square) == 1
    for body in bodies:
        changed = await send(smartem.client, "PUT", f"/gridsquares/{body['uuid']}", {})
        assert changed["uuid"] == made[0]["uuid"]


async def test_it_is_published_by_its_own_uuid(here: Here, smartem: Client) -> None:
    rig = Rig(here.resources, publish=True)
    await smartem.post_all()
    await rig.tell(
        *files(smartem.plot),
        {"event_type": "ctf.completed"}
        | {
            "grid_uuid": str(smartem.plot.grid),
            "micrograph_id": "FoilHole_11",
            "ctf_max_resolution_estimate": 3.5,
        },
    )
    statement = select(col(OutboxMessage.payload)).order_by(col(OutboxMessage.seq))
    sent = {one["event_type"]: one for one in rig.all(statement) if "event_type" in one}
    assert sent["ctf.registered"]["micrograph_uuid"] == smartem.micrograph
    assert sent["gridsquare.registered"]["uuid"] in smartem.squares.values()
