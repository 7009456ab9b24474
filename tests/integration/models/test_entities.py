"""What EPU says ends in the tables, once, whatever the order it comes in."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import Session, SQLModel

from core.errors import MessageRejected, UnknownParent
from domains.cryoem import ids
from domains.cryoem.manifests import EpuSession, SquareReference
from models.cryoem.entities import ENTITY_NAMES, Count, apply_epu
from models.cryoem.messages import EpuMessage
from models.cryoem.tables import (
    Acquisition,
    AtlasTile,
    Grid,
    Hole,
    Micrograph,
    Square,
    TileSquare,
)
from models.database import Database
from models.sql import table_of
from tests.integration.models.factories import (
    NOON,
    after,
    apply,
    atlas_message,
    epu_session,
    found,
    image_message,
    plant,
    session_message,
    square_message,
    stage,
)

SESSION = epu_session(squares=(SquareReference(square_id=1), SquareReference(square_id=2)))
GRID = ids.grid_uuid(SESSION)


def _all(database: Database, model: type[SQLModel]) -> list[Any]:
    with database.reading() as session:
        return list(session.scalars(select(model)))


def _get(database: Database, model: type[SQLModel], uuid: UUID) -> Any:
    with database.reading() as session:
        row = session.get(model, uuid)
    assert row is not None
    return row


def _square(database: Database, number: int = 1) -> Square:
    return _get(database, Square, ids.square_uuid(GRID, number))


def _hole(database: Database, number: int = 11) -> Hole:
    return _get(database, Hole, ids.hole_uuid(GRID, number))


def test_session_makes_acquisition_grid_and_squares(database: Database) -> None:
    applied = apply(database, session_message(SESSION), now=after(9))

    (acquisition,) = _all(database, Acquisition)
    (grid,) = _all(database, Grid)
    assert (acquisition.name, acquisition.started_at) == ("visit", NOON)
    assert (grid.uuid, grid.last_news_at) == (GRID, after(9))
    assert {square.square_id for square in _all(database, Square)} == {1, 2}
    assert applied.counts == {
        "acquisitions": Count(new=1),
        "grids": Count(new=1),
        "squares": Count(new=2),
    }
    assert applied.new_grids == (GRID,)
    assert set(applied.new_areas) == {ids.square_uuid(GRID, n) for n in (1, 2)}


def test_same_messages_again_change_nothing_and_say_so(database: Database) -> None:
    messages = (
        session_message(SESSION),
        atlas_message(GRID, (1, 2, 3)),
        square_message(GRID, 1, (11, 12), position=stage(0.1 + 0.2)),
        image_message(GRID, "hole", stem="h", hole=11, hole_center=found(1 / 3)),
        image_message(GRID, hole=11, exposure_time=1e-300),
    )
    first = apply(database, *messages)
    again = apply(database, *messages)

    assert {count.new for count in first.counts.values()} != {0}
    assert {(count.new, count.changed) for count in again.counts.values()} == {(0, 0)}
    assert {name: c.unchanged for name, c in again.counts.items()} == {
        name: c.new for name, c in first.counts.items()
    }
    assert (again.new_areas, again.new_grids) == ((), ())


def test_everything_may_come_in_one_batch(database: Database) -> None:
    apply(
        database,
        image_message(GRID, stem="m", square=None, hole=11),
        square_message(GRID, 1, (11,)),
        atlas_message(GRID),
        session_message(SESSION),
    )

    (micrograph,) = _all(database, Micrograph)
    assert micrograph.hole_uuid == ids.hole_uuid(GRID, 11)
    assert _hole(database).square_uuid == ids.square_uuid(GRID, 1)
    assert len(_all(database, AtlasTile)) == len(_all(database, TileSquare)) == 1


def test_newer_file_replaces_what_the_older_said(database: Database) -> None:
    apply(database, session_message(SESSION), square_message(GRID, 1, (11,), state="old"))

    applied = apply(database, square_message(GRID, 1, (11,), state="new", at=after(1)))

    assert _square(database).state == "new"
    assert applied.counts["squares"] == Count(changed=1)
    assert applied.counts["holes"] == Count(unchanged=1)


def test_older_file_changes_nothing(database: Database) -> None:
    apply(database, session_message(SESSION), square_message(GRID, 1, state="new", at=after(1)))

    applied = apply(database, square_message(GRID, 1, state="old", selected=True))

    assert (_square(database).state, _square(database).selected) == ("new", None)
    assert applied.counts["squares"] == Count(unchanged=1)


def test_touched_file_is_no_news(database: Database) -> None:
    apply(database, session_message(SESSION), square_message(GRID, 1, (11,)))

    applied = apply(database, square_message(GRID, 1, (11,), at=after(1)))

    assert {count.changed for count in applied.counts.values()} == {0}
    assert _square(database).observed_at == after(1)


def test_files_of_different_kinds_complete_one_another(database: Database) -> None:
    apply(database, session_message(SESSION))
    # The oldest comes last, and still it alone knows where the square lies on the atlas.
    apply(database, image_message(GRID, "square", magnification=100, acquired_at=after(1)))
    apply(database, square_message(GRID, 1, state="imaged", at=after(3)))
    apply(database, atlas_message(GRID, (1,), at=after(-3)))

    square = _square(database)
    assert (square.state, square.atlas_x, square.magnification) == ("imaged", 10.0, 100)
    assert (square.observed_at, square.imaged_at) == (after(3), after(1))
    assert square.placed_at == after(-3)


def test_latest_image_of_a_hole_counts(database: Database) -> None:
    late = image_message(
        GRID, "hole", stem="b", hole=11, acquired_at=after(9), hole_center=found(2)
    )
    early = image_message(GRID, "hole", stem="a", hole=11, hole_center=found(1))
    undated = image_message(GRID, "hole", stem="c", hole=11, acquired_at=None, hole_center=found(3))
    apply(database, session_message(SESSION), undated, late)
    apply(database, early)
    apply(database, undated)

    assert (_hole(database).image_id, _hole(database).found_x) == ("id-b", 2)


def test_new_atlas_moves_the_squares_on_its_tiles(database: Database) -> None:
    apply(database, session_message(SESSION), atlas_message(GRID, (1,), x=5, at=after(1)))
    apply(database, atlas_message(GRID, (1,), x=7, at=after(2)))
    apply(database, atlas_message(GRID, (1,), x=3))

    (link,) = _all(database, TileSquare)
    assert link.x == 7


def test_image_tells_which_instrument_took_it(database: Database) -> None:
    apply(database, session_message(SESSION))
    apply(database, image_message(GRID, hole=11, instrument_model="Krios", instrument_id="m02"))

    (acquisition,) = _all(database, Acquisition)
    assert (acquisition.instrument_model, acquisition.instrument_id) == ("Krios", "m02")
    assert acquisition.name == "visit"


def test_image_proves_that_its_square_and_hole_exist(database: Database) -> None:
    apply(database, session_message(SESSION))

    applied = apply(database, image_message(GRID, square=9, hole=99))

    assert set(applied.new_areas) == {ids.square_uuid(GRID, 9), ids.hole_uuid(GRID, 99)}
    assert _hole(database, 99).is_near_grid_bar is None


def test_message_about_an_unknown_grid_waits_for_it(database: Database) -> None:
    with pytest.raises(UnknownParent) as raised:
        apply(database, square_message(GRID))

    assert (raised.value.kind, raised.value.ident) == ("grid", str(GRID))
    assert _all(database, Square) == []


def test_image_that_names_no_square_waits_for_its_hole(database: Database) -> None:
    apply(database, session_message(SESSION))
    with pytest.raises(UnknownParent) as raised:
        apply(database, image_message(GRID, square=None, hole=11))
    assert raised.value.ident == str(ids.hole_uuid(GRID, 11))

    apply(database, square_message(GRID, 1, (11,)))
    apply(database, image_message(GRID, square=None, hole=11))
    assert len(_all(database, Micrograph)) == 1


def test_session_under_a_foreign_grid_is_rejected(database: Database) -> None:
    message = session_message(SESSION).model_copy(update={"grid_uuid": ids.atlas_uuid(GRID)})

    with pytest.raises(MessageRejected, match="grid_uuid"):
        apply(database, message)


def test_session_that_nothing_names_is_rejected(database: Database) -> None:
    nameless = EpuSession(epu_id=None, name=None, started_at=NOON)
    message = session_message(SESSION).model_copy(update={"manifest": nameless})

    with pytest.raises(MessageRejected, match="neither an Id nor a Name"):
        apply(database, message)


@pytest.mark.parametrize(
    ("level", "field"), [("square", "square_id"), ("hole", "hole_id"), ("micrograph", "hole_id")]
)
def test_image_that_names_nothing_is_rejected(database: Database, level: str, field: str) -> None:
    apply(database, session_message(SESSION))

    with pytest.raises(MessageRejected, match=field):
        apply(database, image_message(GRID, level, square=None, hole=None))


def test_same_ids_on_two_grids_are_two_squares(database: Database) -> None:
    one, other = plant(database), plant(database)

    assert {square.uuid for square in _all(database, Square)} == {*one.squares, *other.squares}
    assert len(_all(database, Hole)) == 6


def test_ids_may_need_64_bits(database: Database) -> None:
    apply(database, session_message(SESSION), square_message(GRID, 2**40, (2**63 - 1,)))

    assert _hole(database, 2**63 - 1).square_uuid == ids.square_uuid(GRID, 2**40)


def _view(draw: st.DrawFn, kind: str, moment: int) -> EpuMessage:
    """Return what one file says at a moment; some values are missing in some views."""
    at = after(moment)
    # Few squares and holes, so that views meet; a hole lies in one square only.
    square = draw(st.sampled_from([1, 1, 1, 2]))
    holes = {10 * square + n for n in draw(st.sampled_from([{1}, {1, 2}, set()]))}
    some = draw(st.booleans())
    if kind == "session":
        grid_type = f"type {moment}" if some else None
        return session_message(SESSION.model_copy(update={"grid_type": grid_type}), at=at)
    if kind == "atlas":
        return atlas_message(GRID, {square, 3}, x=moment, at=at)
    if kind == "file":
        values = {"position": stage(moment), "state": f"state {moment}"} if some else {}
        return square_message(GRID, square, holes, bars=holes if some else (), at=at, **values)
    return image_message(
        GRID,
        kind,
        stem=f"image {moment}" if kind != "micrograph" else "image",
        square=square,
        hole=10 * square + 1,
        acquired_at=at,
        at=at,
        instrument_model="Krios",
        **({"hole_center": found(moment), "defocus": moment} if some else {}),
    )


def _messages(draw: st.DrawFn) -> list[EpuMessage]:
    """Return views of one grid, all at different moments, most of them of one kind."""
    kinds = ["session", "atlas", "file", "square", "hole", "micrograph"]
    chosen = draw(st.sampled_from(kinds))
    others = draw(st.lists(st.sampled_from(kinds), max_size=3))
    wanted = ["session", *([chosen] * draw(st.integers(2, 4))), *others]
    moments = draw(st.permutations(range(len(wanted))))
    return [_view(draw, kind, moment) for kind, moment in zip(wanted, moments, strict=True)]


@st.composite
def _two_orders(draw: st.DrawFn) -> tuple[list[EpuMessage], list[EpuMessage], int]:
    messages = _messages(draw)
    return messages, draw(st.permutations(messages)), draw(st.integers(1, 4))


def _rows_after(database: Database, messages: Sequence[EpuMessage], size: int) -> dict[str, Any]:
    """Apply in batches; what must wait comes again. Return all rows, and take all back."""
    with database.reading() as session:
        todo = [messages[start : start + size] for start in range(0, len(messages), size)]
        while todo:
            batch = todo.pop(0)
            try:
                apply_epu(session, batch, now=NOON)
            except UnknownParent:
                todo.append(batch)
        return {name: _dump(session, model) for model, name in ENTITY_NAMES.items()}


def _dump(session: Session, model: type[SQLModel]) -> list[dict[str, Any]]:
    rows = session.execute(select(table_of(model))).mappings()
    return sorted((dict(row) for row in rows), key=repr)


@given(orders=_two_orders())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_order_of_the_same_messages_gives_the_same_rows(
    database: Database, orders: tuple[list[EpuMessage], list[EpuMessage], int]
) -> None:
    one, other, size = orders

    assert _rows_after(database, one, len(one)) == _rows_after(database, other, size)
