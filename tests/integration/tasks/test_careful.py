"""After crashes the one message that crashes runs is found; its neighbours are done."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import update
from sqlmodel import Session, col, select

from core.clock import utcnow
from models import drain, inbox, work
from models.base import DeliveryState
from models.cryoem.intake import PREDICTIONS
from models.drain import Drain
from models.inbox import InboxMessage, NewMessage, Received
from tasks.inbox import Outcome, drain_inbox
from tests.session_fixtures import Here

KEY = "a"
CULPRIT = 3


class Killed(BaseException):
    """As far as the drain can tell, the process is gone."""


class Handler:
    """Does nothing, and dies of one message."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, _session: Session, messages: Sequence[Received]) -> Outcome:
        self.batches.append(len(messages))
        if any(message.payload["n"] == CULPRIT for message in messages):
            raise Killed
        return Outcome(done=list(messages))


async def _run_until_killed(here: Here, handler: Handler) -> bool:
    """Drain; return whether it was killed, and if so leave everything as a dead process does."""
    try:
        await drain_inbox(
            here.resources,
            flow=PREDICTIONS,
            key=KEY,
            handler=handler,
            flow_run_id=None,
            linger_seconds=0,
        )
    except Killed:
        past = utcnow() - timedelta(seconds=1)
        with here.resources.database.transaction() as db:
            # A process that is killed lets go of nothing: its lease runs out.
            db.execute(update(Drain).values(state="running", holder="killed", expires_at=past))
            db.execute(
                update(InboxMessage)
                .where(col(InboxMessage.state) == DeliveryState.CLAIMED)
                .values(lease_expires_at=past)
            )
        return True
    return False


async def test_message_that_kills_runs_is_buried_alone(here: Here) -> None:
    with here.resources.database.transaction() as db:
        inbox.store(
            db,
            [NewMessage("test", "cryoem", "kind", PREDICTIONS, KEY, {"n": n}) for n in range(6)],
            now=utcnow(),
        )
    handler = Handler()
    attempts = here.resources.settings.worker.max_attempts

    # Two crashes of the whole batch, then one by one until the culprit has had its tries.
    killed = [await _run_until_killed(here, handler) for _ in range(2 + attempts)]
    with here.resources.database.transaction() as db:
        assert work.bury_exhausted(db, InboxMessage, now=utcnow(), max_attempts=attempts) == 1
    assert not await _run_until_killed(here, handler)

    assert all(killed)
    assert handler.batches == [6, 6, *[1] * (CULPRIT + attempts), *[1] * (6 - CULPRIT - 1)]
    with here.resources.database.reading() as db:
        rows = db.exec(select(InboxMessage).order_by(col(InboxMessage.seq))).all()
        crashes = db.exec(select(Drain.crashes)).one()
    states = {row.payload["n"]: row.state for row in rows}
    assert states.pop(CULPRIT) == DeliveryState.DEAD
    assert set(states.values()) == {DeliveryState.DONE}
    assert crashes > drain.CRASHES_UNTIL_CAREFUL
