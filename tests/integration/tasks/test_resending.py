"""What was refused is sent again when a person says so, unless something newer was decided."""

from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from models.base import DeliveryState
from models.outbox import OutboxMessage
from tasks.cryoem.predictions import drain_predictions
from tasks.cryoem.submission import drain_decisions
from tasks.resending import resend
from tests.integration.api.played import play, square_prediction
from tests.session_fixtures import Here, SmallSession


@pytest.fixture
async def session(here: Here) -> SmallSession:
    """A session of which Athena refused the decision about its first square."""
    played = await play(here, SmallSession(squares=1, holes=2))
    with here.resources.database.transaction() as db:
        db.execute(
            update(OutboxMessage)
            .where(col(OutboxMessage.subject).startswith("gridSquareSelection/"))
            .values(state=DeliveryState.DEAD, error="AthenaRefused: 400", sent_at=None)
        )
    return played


def selections(here: Here) -> list[OutboxMessage]:
    statement = select(OutboxMessage).order_by(col(OutboxMessage.seq))
    with here.resources.database.reading() as db:
        return list(
            db.scalars(
                statement.where(col(OutboxMessage.subject).startswith("gridSquareSelection/"))
            )
        )


async def test_it_leaves_once_and_what_is_not_dead_is_left_out(
    here: Here, session: SmallSession
) -> None:
    (dead,) = selections(here)
    before = await here.client.find_decisions(session.grid)
    told = await resend(here.resources, [dead.id, uuid4()])
    assert [(one.id, one.state) for one in told] == [(dead.id, DeliveryState.PENDING)]
    assert await resend(here.resources, [dead.id]) == []

    await drain_decisions.fn(session.grid)
    (sent,) = selections(here)
    assert (sent.state, sent.error) == (DeliveryState.DONE, None)
    # Athena had it, as its refusal was only made up here: it is asked, and told nothing twice.
    assert await here.client.find_decisions(session.grid) == before


async def test_a_decision_that_a_newer_one_overtook_stays_as_it_is(
    here: Here, session: SmallSession
) -> None:
    (dead,) = selections(here)
    await here.send(square_prediction(session, 1, 0.1))
    await drain_predictions.fn(session.grid)
    old, new = selections(here)
    assert (old.id, new.state) == (dead.id, DeliveryState.PENDING)

    (told,) = await resend(here.resources, [dead.id])
    assert told.state == DeliveryState.DEAD
    assert "something newer was decided" in str(told.reason)
    assert [one.state for one in selections(here)] == [DeliveryState.DEAD, DeliveryState.PENDING]
