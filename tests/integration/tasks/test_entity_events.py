"""What others say of entities makes them known, deletes them and brings them back, in any order."""

import random
from itertools import permutations
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col

from domains.cryoem import ids
from models.cryoem.decision_tables import CurrentPrediction, Decision
from models.cryoem.queries.entities import list_holes
from models.cryoem.tables import Acquisition, Atlas, AtlasTile, Grid, Hole, Micrograph, Square
from models.outbox import OutboxMessage
from tests.integration.models.factories import after, atlas_message, hole_body, square_body
from tests.integration.tasks.message_rig import Plot, Rig


def event(kind: str, **values: Any) -> dict[str, Any]:
    return {
        "event_type": kind,
        **{name: value if isinstance(value, int) else str(value) for name, value in values.items()},
    }


def entities(plot: Plot) -> list[dict[str, Any]]:
    """Return all that is needed to make a hole and its micrograph known, by EPU's ids."""
    grid = plot.grid
    return [
        event("atlas.created", grid_uuid=grid),
        event("atlas_tile.created", grid_uuid=grid, id="7"),
        event("gridsquare.created", grid_uuid=grid, gridsquare_id=1),
        event("foilhole.created", grid_uuid=grid, foilhole_id=11, gridsquare_id=1),
        event("micrograph.created", grid_uuid=grid, micrograph_id="FoilHole_11", foilhole_id=11),
    ]


def known(rig: Rig) -> set[UUID]:
    tables = (Atlas, AtlasTile, Square, Hole, Micrograph)
    return {uuid for table in tables for uuid in rig.all(select(table.uuid))}  # type: ignore[call-overload]


def deleted(rig: Rig) -> set[UUID]:
    tables = (Acquisition, Grid, Atlas, AtlasTile, Square, Hole, Micrograph)
    return {
        row.uuid for table in tables for row in rig.all(select(table)) if row.deleted_at is not None
    }


@pytest.mark.parametrize("seed", range(2))
async def test_entities_become_known_in_any_order(rig: Rig, seed: int) -> None:
    plot = Plot()
    sent = [*entities(plot), plot.session()]
    random.Random(seed).shuffle(sent)
    await rig.tell_one_by_one(*sent)

    assert set(rig.states()) == {"done"}
    assert known(rig) == {
        ids.atlas_uuid(plot.grid),
        ids.tile_uuid(plot.grid, "7"),
        plot.square_uuid(1),
        plot.hole_uuid(11),
        plot.micrograph_uuid(11),
    }
    (hole,) = rig.all(select(Hole))
    assert (hole.grid_uuid, hole.square_uuid, hole.hole_id) == (
        plot.grid,
        plot.square_uuid(1),
        11,
    )


async def test_all_at_once_is_as_good(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*reversed(entities(plot)), plot.session())

    assert set(rig.states()) == {"done"}
    assert len(known(rig)) == 5


async def test_what_waits_for_an_entity_wakes_when_an_event_makes_it_known(rig: Rig) -> None:
    plot = Plot()
    measured = {
        "event_type": "ctf.completed",
        "micrograph_uuid": str(plot.micrograph_uuid(11)),
        "ctf_max_resolution_estimate": 3,
    }
    await rig.tell(plot.session(), hole_body(plot.hole_uuid(11), 0.4), measured)
    assert rig.states() == ["done", "waiting", "waiting"]

    # Named by uuids alone: each tells what it belongs to.
    await rig.tell(
        event("micrograph.created", uuid=plot.micrograph_uuid(11), foilhole_uuid=plot.hole_uuid(11))
        | {"micrograph_id": "FoilHole_11"},
        event("foilhole.created", uuid=plot.hole_uuid(11), gridsquare_uuid=plot.square_uuid(1))
        | {"foilhole_id": 11},
    )
    await rig.tell(event("gridsquare.created", grid_uuid=plot.grid, gridsquare_id=1))

    assert set(rig.states()) == {"done"}
    assert [row.value for row in rig.all(select(CurrentPrediction))] == [0.4]


async def test_event_hides_nothing_that_a_file_told(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    (before,) = rig.all(select(Square).where(col(Square.square_id) == 1))
    await rig.tell(*entities(plot))
    (now,) = rig.all(select(Square).where(col(Square.square_id) == 1))

    assert now.model_dump(exclude={"life_seq"}) == before.model_dump(exclude={"life_seq"})


async def test_entity_without_natural_id_is_waited_for(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(
        event("acquisition.updated", uuid=plot.acquisition),
        event("grid.created", uuid=plot.grid),
        event("foilhole.updated", uuid=plot.hole_uuid(11)),
        event("micrograph.created", uuid=plot.micrograph_uuid(11)),
    )
    assert set(rig.states()) == {"waiting"}

    await rig.tell(*plot.files(), plot.image(11))

    assert set(rig.states()) == {"done"}


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        (lambda a, b: {"uuid": uuid4(), "gridsquare_uuid": a.square_uuid(1)}, "uuid that follows"),
        (
            lambda a, b: {"uuid": a.hole_uuid(11), "gridsquare_uuid": a.square_uuid(2)},
            "belongs to square",
        ),
        (
            lambda a, b: (
                {"uuid": a.hole_uuid(11), "grid_uuid": a.grid}
                | {"gridsquare_uuid": b.square_uuid(1)}
            ),
            "is not on grid",
        ),
    ],
)
async def test_event_that_contradicts_is_a_dead_letter_that_says_why(
    rig: Rig, named: Any, reason: str
) -> None:
    plot, other = Plot(), Plot()
    await rig.tell(*plot.files(), *other.files())
    count = len(known(rig))
    await rig.tell(
        event("foilhole.created", foilhole_id=11, **named(plot, other)),
        event("foilhole.updated", uuid=plot.hole_uuid(12)),
    )

    states = rig.messages()[-2:]
    assert [row.state for row in states] == ["dead", "done"]
    assert reason in str(states[0].error)
    assert len(known(rig)) == count


# Deletion -----------------------------------------------------------------------------------


async def test_each_kind_of_entity_is_deleted_and_brought_back(rig: Rig) -> None:
    plot = Plot()
    uuids = {
        "acquisition": plot.acquisition,
        "grid": plot.grid,
        "atlas": ids.atlas_uuid(plot.grid),
        "atlas_tile": ids.tile_uuid(plot.grid, "1"),
        "gridsquare": plot.square_uuid(1),
        "foilhole": plot.hole_uuid(11),
        "micrograph": plot.micrograph_uuid(11),
    }
    await rig.tell(*plot.files(), atlas_message(plot.grid), plot.image(11))
    await rig.tell(*(event(f"{kind}.deleted", uuid=uuid) for kind, uuid in uuids.items()))
    assert deleted(rig) == set(uuids.values())

    await rig.tell(*(event(f"{kind}.updated", uuid=uuid) for kind, uuid in uuids.items()))
    assert deleted(rig) == set()
    assert set(rig.states()) == {"done"}


async def test_a_low_magnification_view_that_is_deleted_deletes_no_square(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(event("gridsquare_lowmag.deleted", uuid=plot.square_uuid(1)))

    assert deleted(rig) == set()
    assert set(rig.states()) == {"done"}


async def test_a_file_brings_back_what_it_shows(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(
        event("foilhole.deleted", uuid=plot.hole_uuid(11)),
        event("foilhole.deleted", uuid=plot.hole_uuid(21)),
    )
    await rig.tell(plot.square(1, at=after(60)))

    assert deleted(rig) == {plot.hole_uuid(21)}
    shown = rig.read(list_holes, plot.grid, limit=10).items
    assert [one.uuid for one in shown if one.deleted_at] == [plot.hole_uuid(21)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_newest_event_counts_in_whatever_order_they_are_handled(
    rig: Rig, order: tuple[int, ...]
) -> None:
    plot = Plot()
    sent = [
        event("foilhole.deleted", uuid=plot.hole_uuid(11)),
        event("foilhole.created", grid_uuid=plot.grid, foilhole_id=11, gridsquare_id=1),
        event("foilhole.deleted", grid_uuid=plot.grid, foilhole_id=11),
    ]
    chosen = [sent[place] for place in order]
    await rig.tell(plot.session(), *chosen)
    # The hole is shown by a square's event only now, and the others wake.
    await rig.tell(event("gridsquare.created", grid_uuid=plot.grid, gridsquare_id=1))

    assert set(rig.states()) == {"done"}
    expected = {plot.hole_uuid(11)} if chosen[-1]["event_type"] == "foilhole.deleted" else set()
    assert deleted(rig) == expected


async def test_a_deletion_older_than_what_shows_the_hole_deletes_nothing(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(event("foilhole.deleted", uuid=plot.hole_uuid(11)))
    await rig.tell(*plot.files())

    assert set(rig.states()) == {"done"}
    assert deleted(rig) == set()


async def test_what_is_deleted_takes_no_part_in_decisions(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(
        event("foilhole.deleted", uuid=plot.hole_uuid(11)),
        event("gridsquare.deleted", uuid=plot.square_uuid(2)),
    )
    holes = [*plot.hole_ids(1), *plot.hole_ids(2)]
    await rig.tell(
        *(hole_body(plot.hole_uuid(hole), 0.9) for hole in holes),
        square_body(plot.square_uuid(2), 0.9),
    )

    (decision,) = rig.all(select(Decision))
    assert set(decision.outcome) == {str(plot.hole_uuid(hole)) for hole in (12, 13)}
    assert rig.all(select(Square).where(col(Square.undecided_since).is_not(None))) == []


async def test_nothing_is_decided_on_a_deleted_grid(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files(), event("grid.deleted", uuid=plot.grid))
    await rig.tell(
        *(hole_body(plot.hole_uuid(hole), 0.9) for hole in plot.hole_ids(1)),
        square_body(plot.square_uuid(1), 0.9),
    )

    assert rig.all(select(Decision)) == []


# Completeness -------------------------------------------------------------------------------


def registered(rig: Rig) -> list[str]:
    wanted = "athanor.cryoem.grid.registered"
    return [payload["grid_uuid"] for name, payload in rig.events if name == wanted]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_grid_is_registered_once_when_all_listed_squares_are_described(
    rig: Rig, order: tuple[int, ...]
) -> None:
    plot = Plot()
    session = plot.session().model_dump(mode="json")
    session["manifest"]["squares"] = [{"square_id": 1}, {"square_id": 2}]
    manifest = {"epu_id": session["manifest"]["epu_id"], **session["manifest"]}
    sent = [{**session, "manifest": manifest}, plot.square(1), plot.square(2)]
    for place, number in enumerate(order):
        assert registered(rig) == [], f"after {place} files"
        await rig.tell(sent[number])

    assert registered(rig) == [str(plot.grid)]
    (grid,) = rig.all(select(Grid))
    assert grid.squares_known_at is not None
    squares = rig.all(select(Square))
    assert all(square.holes_known_at is not None for square in squares)

    await rig.tell(plot.square(1, at=after(60)), {**event("grid.registered", grid_uuid=plot.grid)})
    assert registered(rig) == [str(plot.grid)]


async def test_a_session_that_lists_no_squares_is_not_complete(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(plot.session(), plot.square(1))

    assert registered(rig) == []


async def test_who_says_that_a_grid_is_complete_is_believed(rig: Rig) -> None:
    plot = Plot()
    square = event("gridsquare.registered", uuid=plot.square_uuid(1), count=7)
    await rig.tell(event("grid.registered", grid_uuid=plot.grid), square)
    assert set(rig.states()) == {"waiting"}

    await rig.tell(plot.session())
    await rig.tell(event("gridsquare.created", grid_uuid=plot.grid, gridsquare_id=1))

    assert set(rig.states()) == {"done"}
    assert registered(rig) == [str(plot.grid)]
    (row,) = rig.all(select(Square))
    assert row.holes_known_at is not None


async def test_what_is_complete_is_published_once(rig: Rig) -> None:
    plot = Plot()
    publishing = Rig(rig.resources, publish=True)
    session = plot.session().model_dump(mode="json")
    session["manifest"]["squares"] = [{"square_id": 1}, {"square_id": 2}]
    files = [session, plot.square(1), plot.square(2)]
    await publishing.tell(*files)
    await publishing.tell(*files)

    published = rig.all(select(OutboxMessage).where(col(OutboxMessage.flow) == "publish-messages"))
    told = sorted((row.payload["event_type"], row.payload.get("count")) for row in published)
    assert told == [
        ("grid.registered", None),
        ("gridsquare.registered", 3),
        ("gridsquare.registered", 3),
    ]
