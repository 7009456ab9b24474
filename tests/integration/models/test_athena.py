"""What Athena calls our squares and holes: given once, unique, and kept."""

import threading
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from core.errors import UnknownParent
from domains.cryoem import ids
from models.cryoem import athena
from models.cryoem.decision_tables import AthenaArea, AthenaSession
from models.cryoem.tables import Acquisition, Grid
from models.database import Database
from tests.integration.models.factories import (
    NOON,
    Site,
    after,
    apply,
    atlas_message,
    plant,
    square_message,
)
from tests.support import PATIENCE

INT32_MAX = 2**31 - 1


def _allocate(database: Database, site: Site) -> int:
    with database.transaction() as session:
        return athena.allocate_areas(session, site.grid)


def _areas(database: Database, site: Site) -> dict[UUID, AthenaArea]:
    with database.reading() as session:
        rows = session.scalars(select(AthenaArea).where(col(AthenaArea.grid_uuid) == site.grid))
        return {row.area_uuid: row for row in rows}


def _ids(database: Database, site: Site) -> dict[UUID, int]:
    return {uuid: row.area_id for uuid, row in _areas(database, site).items()}


def _mark(database: Database, *uuids: UUID, now: datetime | None = NOON) -> None:
    with database.transaction() as session:
        athena.mark_registered(session, uuids, now=now)


def _save_session(database: Database, site: Site, **values: Any) -> AthenaSession:
    row = AthenaSession(
        grid_uuid=site.grid,
        session_id=uuid4(),
        session_name="Grid_1",
        grid_type="HoleyCarbon",
        adopted=False,
        registered_at=NOON,
        **values,
    )
    with database.transaction() as session:
        athena.save_session(session, row)
    return row


def test_areas_keep_the_ids_that_epu_gave(database: Database) -> None:
    site = plant(database, [[11, 12], [21]])

    assert _allocate(database, site) == 5

    assert _ids(database, site) == dict(
        zip((*site.squares, *site.holes), (1, 2, 11, 12, 21), strict=True)
    )


def test_hole_is_linked_to_its_square(database: Database) -> None:
    site = plant(database, [[11], [21]])
    _allocate(database, site)

    areas = _areas(database, site)
    assert [areas[hole].parent_area_id for hole in site.holes] == [1, 2]
    assert [areas[hole].area_type for hole in site.holes] == ["foilhole", "foilhole"]
    assert {areas[square].parent_area_id for square in site.squares} == {None}


def test_id_beyond_int32_gets_a_free_one_to_which_its_holes_are_linked(
    database: Database,
) -> None:
    site = plant(database)
    big = INT32_MAX + 1
    apply(database, square_message(site.grid, big, (INT32_MAX, big), at=after(1)))

    _allocate(database, site)

    given = _ids(database, site)
    square, hole = ids.square_uuid(site.grid, big), ids.hole_uuid(site.grid, big)
    assert given[ids.hole_uuid(site.grid, INT32_MAX)] == INT32_MAX
    assert {given[square], given[hole]} <= {2, 3}
    assert _areas(database, site)[hole].parent_area_id == given[square]


def test_hole_with_the_id_of_a_square_gets_a_free_one(database: Database) -> None:
    site = plant(database, [[1, 2]])

    _allocate(database, site)

    given = _ids(database, site)
    assert given[site.squares[0]] == 1
    assert len(set(given.values())) == 3


def test_ids_once_given_stay(database: Database) -> None:
    site = plant(database, [[1, 12]])
    _allocate(database, site)
    before = _ids(database, site)

    assert _allocate(database, site) == 0
    apply(database, atlas_message(site.grid, (1, 2, 3)))
    assert _allocate(database, site) == 2

    after_all = _ids(database, site)
    assert before.items() <= after_all.items()
    assert len(set(after_all.values())) == len(after_all) == 5


def test_grids_give_ids_for_themselves(database: Database) -> None:
    one, other = plant(database), plant(database)
    _allocate(database, one)
    _allocate(database, other)

    assert sorted(_ids(database, one).values()) == sorted(_ids(database, other).values())


def test_two_runs_at_once_give_each_area_one_id(database: Database) -> None:
    site = plant(database, [range(100, 200), range(150, 250)])
    failures: list[BaseException] = []
    barrier = threading.Barrier(3)

    def allocate() -> None:
        try:
            barrier.wait(timeout=PATIENCE)
            _allocate(database, site)
        except BaseException as error:  # noqa: BLE001 (shown by the test's own thread)
            failures.append(error)

    threads = [threading.Thread(target=allocate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=PATIENCE)

    assert failures == []
    given = _ids(database, site)
    assert len(set(given.values())) == len(given) == 152


def test_unregistered_areas_come_squares_first(database: Database) -> None:
    site = plant(database, [[11, 12], [21]])
    with database.reading() as session:
        assert athena.has_unallocated_areas(session, site.grid)
    _allocate(database, site)

    with database.reading() as session:
        assert not athena.has_unallocated_areas(session, site.grid)
        some = athena.unregistered_areas(session, site.grid, 3)
        rest = athena.unregistered_areas(session, site.grid, 100)

    assert [area.area_id for area in some] == [1, 2, 11]
    assert [area.area_id for area in rest] == [1, 2, 11, 12, 21]


def test_confirmed_areas_are_counted_and_not_registered_again(database: Database) -> None:
    site = plant(database, [[11, 12]])
    _allocate(database, site)
    _mark(database, site.squares[0], site.holes[0])

    with database.reading() as session:
        left = athena.unregistered_areas(session, site.grid, 100)
        assert athena.count_areas(session, site.grid) == {"gridsquare": 1, "foilhole": 1}
    assert [area.area_uuid for area in left] == [site.holes[1]]


def test_areas_that_athena_turns_out_to_lack_are_registered_again(database: Database) -> None:
    site = plant(database, [[11, 12]])
    _allocate(database, site)
    _mark(database, *site.squares, *site.holes)

    with database.transaction() as session:
        assert athena.forget_areas_except(session, site.grid, {1, 11}) == 1
        left = athena.unregistered_areas(session, site.grid, 100)

    assert [area.area_id for area in left] == [12]


def test_grid_is_found_with_its_acquisition(database: Database) -> None:
    site = plant(database, name="visit")

    with database.reading() as session:
        grid, acquisition = athena.get_grid(session, site.grid)
        with pytest.raises(UnknownParent):
            athena.get_grid(session, uuid4())

    assert (grid.uuid, acquisition.name) == (site.grid, "visit")


def test_first_session_stored_for_a_grid_stays(database: Database) -> None:
    site = plant(database)
    first = _save_session(database, site)
    _save_session(database, site)

    with database.reading() as session:
        kept = athena.get_session(session, site.grid)
        assert athena.registered_grids(session) == {site.grid}
        assert athena.get_session(session, uuid4()) is None
    assert kept is not None
    assert (kept.session_id, kept.registered_at) == (first.session_id, NOON)


def test_run_is_noted(database: Database) -> None:
    site = plant(database)
    _save_session(database, site)
    with database.transaction() as session:
        athena.set_run(session, site.grid, known=None, run_number=3, run_started_at=after(1))

    with database.reading() as session:
        kept = athena.get_session(session, site.grid)
    assert kept is not None
    assert (kept.run_number, kept.run_started_at) == (3, after(1))


def _end(database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(Acquisition).values(ended_at=NOON))


def _hear(database: Database, seconds: float) -> None:
    with database.transaction() as session:
        session.execute(update(Grid).values(last_news_at=after(seconds)))


def test_grid_is_to_be_registered_until_its_run_began(database: Database) -> None:
    site = plant(database)

    def wanted() -> list[UUID]:
        with database.reading() as session:
            return athena.grids_to_register(session, silent_since=NOON)

    assert wanted() == [site.grid]
    _save_session(database, site)
    assert wanted() == [site.grid]
    _hear(database, -1)
    assert wanted() == []
    _hear(database, 1)
    with database.transaction() as session:
        athena.set_run(session, site.grid, known=None, run_number=1)
    assert wanted() == []


def test_ended_grid_is_not_registered_any_more(database: Database) -> None:
    plant(database)
    _end(database)

    with database.reading() as session:
        assert athena.grids_to_register(session, silent_since=after(-100)) == []


def test_registered_grid_with_new_areas_has_areas_to_register(database: Database) -> None:
    site = plant(database)

    def wanted() -> set[UUID]:
        with database.reading() as session:
            return athena.grids_with_unregistered_areas(session)

    assert wanted() == set()
    _save_session(database, site)
    assert wanted() == {site.grid}
    _allocate(database, site)
    assert wanted() == {site.grid}
    _mark(database, *site.squares, *site.holes)
    assert wanted() == set()


@pytest.mark.parametrize("why", ["ended", "silent"])
def test_run_of_an_ended_or_silent_session_is_to_be_closed(database: Database, why: str) -> None:
    site = plant(database)

    def wanted() -> list[UUID]:
        with database.reading() as session:
            return athena.grids_to_close(session, silent_since=NOON)

    _save_session(database, site, run_number=1)
    assert wanted() == []
    if why == "ended":
        _end(database)
    else:
        _hear(database, -1)
    assert wanted() == [site.grid]
    with database.transaction() as session:
        athena.set_run(session, site.grid, known=7, run_stopped_at=after(1))
    assert wanted() == [site.grid]
    with database.transaction() as session:
        athena.set_run(session, site.grid, known=1, run_stopped_at=after(1))
    assert wanted() == []
