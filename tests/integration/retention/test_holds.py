"""Who holds a session keeps everybody from deleting it."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from core.errors import NotFound, SessionHeld, SessionLeaving
from models.cryoem.tables import Acquisition, Grid
from models.database import Database
from models.retention import holds
from models.retention.tables import SessionRemoval
from tests.integration.models.factories import NOON, after


@pytest.fixture
def grid(database: Database) -> UUID:
    acquisition, grid = uuid4(), uuid4()
    with database.transaction() as session:
        session.add(Acquisition(uuid=acquisition, name="visit"))
        session.flush()
        session.add(Grid(uuid=grid, acquisition_uuid=acquisition, name="1"))
    return grid


def test_a_held_session_is_not_deleted_until_it_is_released(database: Database, grid: UUID) -> None:
    with database.transaction() as session:
        holds.hold(session, grid, reason="inquiry 7", by="ana", now=NOON)
        holds.hold(session, grid, reason="inquiry 8", by="ben", now=after(1))
    with database.reading() as session:
        (found,) = holds.held(session, [grid, uuid4()]).values()
        assert (found.reason, found.held_by, found.held_at) == ("inquiry 8", "ben", after(1))
        with pytest.raises(SessionHeld, match=r"held by ben \(inquiry 8\)"):
            holds.require_released(session, [uuid4(), grid])
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(delete(Grid).where(col(Grid.uuid) == grid))

    with database.transaction() as session:
        assert holds.release(session, grid).reason == "inquiry 8"
        holds.require_released(session, [grid])
        with pytest.raises(NotFound):
            holds.release(session, grid)
        session.execute(delete(Grid).where(col(Grid.uuid) == grid))


def test_only_a_session_that_is_there_and_stays_can_be_held(database: Database, grid: UUID) -> None:
    with database.transaction() as session:
        with pytest.raises(NotFound):
            holds.hold(session, uuid4(), reason="why", by="ana", now=NOON)
        session.add(SessionRemoval(grid_uuid=grid, name="visit", began_at=NOON))
        session.flush()
        with pytest.raises(SessionLeaving):
            holds.hold(session, grid, reason="why", by="ana", now=NOON)
