"""Messages from the door to their effects, without Prefect and Athena."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlmodel import Session, col

from core.clock import utcnow
from domains.cryoem import ids
from models import inbox
from models.cryoem.intake import AREAS, MEASUREMENTS, PREDICTIONS, SCORES
from models.cryoem.messages import Message
from models.database import Database
from models.inbox import InboxMessage
from tasks.cryoem.entities import EntityHandler
from tasks.cryoem.measurements import MeasurementHandler
from tasks.cryoem.predictions import PredictionHandler
from tasks.cryoem.scores import refresh_grid
from tasks.inbox import Handler, drain_inbox
from tasks.intake import accept
from tests.integration.models.factories import (
    epu_session,
    image_message,
    session_message,
    square_message,
)
from tests.session_fixtures import QuietResources


@dataclass(frozen=True)
class Rig:
    """Takes messages in and works on them until nothing is left to do."""

    resources: QuietResources
    publish: bool = False

    @property
    def database(self) -> Database:
        return self.resources.database

    @property
    def events(self) -> list[tuple[str, dict[str, str]]]:
        return self.resources.events

    async def take(self, *messages: Message | dict[str, Any]) -> list[UUID]:
        """Store messages; return our ids of them."""
        bodies = [
            one.model_dump(mode="json", exclude_none=True) if isinstance(one, Message) else one
            for one in messages
        ]
        accepted = await accept(self.resources, bodies, source="test", keep_rejected=True)
        return [one.id for one in accepted.stored]

    async def work(self) -> None:
        """Work on all that is to be done, and on what that wakes."""
        while waiting := self.read(inbox.keys_with_work, now=utcnow(), max_attempts=5):
            for flow, key in sorted(waiting):
                await self.drain(flow, UUID(key))

    async def drain(self, flow: str, grid: UUID, *, idle: bool = True) -> None:
        """Work on one flow's messages about a grid."""
        if flow == SCORES:
            await refresh_grid(self.resources, grid, flow_run_id=None)
            return
        handler = self.handler(flow, grid)
        await drain_inbox(
            self.resources,
            flow=flow,
            key=str(grid),
            handler=handler,
            flow_run_id=None,
            idle=getattr(handler, "decide_overdue", None) if idle else None,
        )

    async def tell(self, *messages: Message | dict[str, Any]) -> list[UUID]:
        """Store messages and work on them."""
        stored = await self.take(*messages)
        await self.work()
        return stored

    async def tell_one_by_one(self, *messages: Message | dict[str, Any]) -> None:
        """Store messages and work on each before the next comes."""
        for message in messages:
            await self.tell(message)

    def handler(self, flow: str, grid: UUID) -> Handler:
        """Return what the flow's task handles messages with."""
        return {
            AREAS: EntityHandler(grid, publish=self.publish),
            PREDICTIONS: PredictionHandler(self.resources, grid, None),
            MEASUREMENTS: MeasurementHandler(publish=self.publish),
        }[flow]

    def read(self, work: Any, *arguments: Any, **named: Any) -> Any:
        """Run a function with a session that reads."""
        with self.database.reading() as session:
            return work(session, *arguments, **named)

    def all(self, statement: Any) -> list[Any]:
        """Return what a statement of one column selects."""

        def found(session: Session) -> list[Any]:
            rows = list(session.scalars(statement))
            session.expunge_all()
            return rows

        return self.read(found)

    def messages(self) -> list[InboxMessage]:
        """Return the inbox in order of arrival."""
        return self.all(select(InboxMessage).order_by(col(InboxMessage.seq)))

    def states(self) -> list[str]:
        """Return the states of all messages in order of arrival."""
        return [row.state for row in self.messages()]


@dataclass(frozen=True)
class Plot:
    """One grid: its session's file, squares 1, 2, … and holes 11, 12, … 21, 22, …"""

    name: str = field(default_factory=lambda: f"visit-{uuid4()}")
    squares: int = 2
    holes: int = 3

    @property
    def grid(self) -> UUID:
        return ids.grid_uuid(epu_session(self.name))

    @property
    def acquisition(self) -> UUID:
        return ids.acquisition_uuid(epu_session(self.name))

    def session(self) -> Message:
        return session_message(epu_session(self.name))

    def hole_ids(self, square: int) -> list[int]:
        return [10 * square + number for number in range(1, self.holes + 1)]

    def square(self, square: int, **values: Any) -> Message:
        return square_message(self.grid, square, self.hole_ids(square), **values)

    def image(self, hole: int, **values: Any) -> Message:
        return image_message(
            self.grid, stem=f"FoilHole_{hole}", square=hole // 10, hole=hole, **values
        )

    def files(self) -> list[Message]:
        return [self.session(), *(self.square(n) for n in range(1, self.squares + 1))]

    def square_uuid(self, square: int) -> UUID:
        return ids.square_uuid(self.grid, square)

    def hole_uuid(self, hole: int) -> UUID:
        return ids.hole_uuid(self.grid, hole)

    def micrograph_uuid(self, hole: int) -> UUID:
        return ids.micrograph_uuid(self.grid, f"FoilHole_{hole}")
