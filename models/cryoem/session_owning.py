"""Give a session to another organisation, with all that says whose it is."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlmodel import Session, col

from core.errors import BadInput, NotFound
from models import audit
from models.cryoem.instructions.tables import AgentSession
from models.cryoem.tables import Grid
from models.inbox import InboxMessage
from models.visibility import owning


@dataclass(frozen=True)
class Assigned:
    """What was given to an organisation, or would be."""

    #: The grid that the session was named by, and those of the same acquisition: all of them.
    grids: tuple[UUID, ...]
    acquisition: UUID
    organisation: str
    #: Whose it was; more than one where its parts were different organisations'.
    before: tuple[str, ...]
    #: Sessions of agents that are about it.
    agents: int
    #: Messages that were sent by somebody of another organisation, and are seen by that one still.
    messages: int


def assign(session: Session, grid: UUID, organisation: str, *, dry_run: bool) -> Assigned:
    """Make an organisation the owner of a session, whoever was it before.

    Whoever owns an acquisition sees all of its grids, so these go together, with the sessions of
    their agents. What came in as messages goes too: else their senders would see those still, and
    what waits would be refused as another's once it can be worked on.

    Args:
        session: The transaction.
        grid: The session's grid.
        organisation: Whose it is from now on.
        dry_run: Only say what there is to give.

    Raises:
        NotFound: There is no such session.
        BadInput: The organisation has no name.
    """
    organisation = organisation.strip()
    if not organisation:
        raise BadInput("An organisation has a name: give one that is not empty.")
    acquisition = session.scalar(select(col(Grid.acquisition_uuid)).where(col(Grid.uuid) == grid))
    if acquisition is None:
        raise NotFound(f"There is no session of grid {grid}.")
    of_acquisition = select(col(Grid.uuid)).where(col(Grid.acquisition_uuid) == acquisition)
    grids = tuple(session.scalars(of_acquisition.order_by(col(Grid.uuid))))
    agents = session.scalars(
        select(col(AgentSession.session_id)).where(
            or_(
                col(AgentSession.acquisition_uuid) == acquisition,
                col(AgentSession.grid_uuid).in_(grids),
            )
        )
    ).all()
    keys: list[UUID | str] = [acquisition, *grids, *agents]
    known = owning.owners(session, [str(key) for key in keys])
    theirs = _messages(keys, organisation)
    number = session.scalar(select(func.count(col(InboxMessage.seq))).where(theirs)) or 0
    done = Assigned(
        grids=grids,
        acquisition=acquisition,
        organisation=organisation,
        before=tuple(sorted(set(known.values()))),
        agents=len(agents),
        messages=number,
    )
    if not dry_run:
        owning.give(session, keys, organisation)
        session.execute(
            update(InboxMessage)
            .where(theirs)
            .values(organisation=organisation)
            .execution_options(synchronize_session=False)
        )
        _write_down(session, grid, done)
    return done


def _messages(keys: list[Any], organisation: str) -> ColumnElement[bool]:
    sender = col(InboxMessage.organisation)
    return and_(
        col(InboxMessage.key).in_([str(key) for key in keys]),
        sender.is_not(None),
        sender != organisation,
    )


def _write_down(session: Session, grid: UUID, done: Assigned) -> None:
    audit.note(
        session,
        "session_owner",
        grid,
        before={"organisation": ", ".join(done.before) or None},
        after={"organisation": done.organisation, "messages": done.messages},
    )
