"""Claims of a run that was interrupted, given back so that nobody waits for their lease."""

from sqlalchemy import update
from sqlmodel import Session, col

from models.base import DeliveryState
from models.inbox import InboxMessage
from models.outbox import OutboxMessage


def give_back(session: Session, *, flow: str, key: str, holder: str) -> int:
    """Make pending what a holder has claimed for a flow's key; return how many rows.

    A message keeps its attempts, as it is not to blame. A row of the outbox counts as tried:
    it may have been on its way, and is asked about before it is sent again.
    """
    given = 0
    for model, undone in ((InboxMessage, 1), (OutboxMessage, 0)):
        result = session.execute(
            update(model)
            .where(
                col(model.flow) == flow,
                col(model.key) == key,
                col(model.state) == DeliveryState.CLAIMED,
                col(model.claimed_by) == holder,
            )
            .values(
                state=DeliveryState.PENDING,
                attempts=col(model.attempts) - undone,
                claimed_by=None,
                lease_expires_at=None,
            )
            .execution_options(synchronize_session=False)
        )
        given += result.rowcount  # pyright: ignore[reportAttributeAccessIssue]
    return given
