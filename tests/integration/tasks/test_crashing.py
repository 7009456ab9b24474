"""Which message is to blame when runs crash: the one that they crash on, and no other."""

import asyncio
import os
import sys
from uuid import UUID

from sqlmodel import col, select

from core.clock import utcnow
from models import inbox
from models.base import DeliveryState
from models.cryoem.intake import PREDICTIONS
from models.database import Database
from models.inbox import InboxMessage, NewMessage
from models.work import bury_exhausted
from tests.conftest import ROOT

KEY = "c0ffee00-0000-0000-0000-000000000000"
MESSAGES = 120
MAX_ATTEMPTS = 5


def stored(database: Database) -> list[UUID]:
    """Store messages of one key; return their ids in order."""
    rows = [
        NewMessage("test", "cryoem", "foilhole.model_prediction", PREDICTIONS, KEY, {"n": n})
        for n in range(MESSAGES)
    ]
    with database.transaction() as session:
        return [one.id for one in inbox.store(session, rows, now=utcnow())]


async def crash_on(database: Database, culprit: UUID) -> list[str]:
    """Run until a run ends; return how each ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.tasks.crashing",
        database.url.render_as_string(hide_password=False),
        PREDICTIONS,
        KEY,
        str(culprit),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return said.decode().split()


async def test_of_a_batch_that_kills_its_runs_only_the_culprit_is_buried(
    database: Database,
) -> None:
    idents = stored(database)
    culprit = idents[70]

    ends = await crash_on(database, culprit)

    with database.transaction() as session:
        bury_exhausted(session, InboxMessage, now=utcnow(), max_attempts=MAX_ATTEMPTS)
        states = {
            row.id: row.state
            for row in session.scalars(select(InboxMessage).order_by(col(InboxMessage.seq)))
        }
    assert ends[-1] == "ended"
    assert ends.count("died") >= MAX_ATTEMPTS
    assert states.pop(culprit) == DeliveryState.DEAD
    assert set(states.values()) == {DeliveryState.DONE}
