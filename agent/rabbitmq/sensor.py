"""Store what RabbitMQ delivers, then acknowledge it: nothing lost, nothing twice (rule 1)."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft
from sqlmodel import Session
from tenacity import wait_random_exponential
from tenacity.wait import wait_base

from agent.beside import beside
from agent.rabbitmq.ledger import Doubtful, Ledger, Repeated, StoredAlready
from agent.rabbitmq.part import Part, parts_of
from agent.rabbitmq.port import Counts, Intake
from core import metrics
from core.clock import utcnow
from core.errors import AthanorError, BrokerUnavailable, StorageUnavailable
from messaging.rabbitmq.port import Batch, Consumer
from models.database import Database

logger = logging.getLogger(__name__)

#: Faults of the surroundings, of which no message is to blame.
_NOT_THE_MESSAGE: Final = (
    StorageUnavailable,
    OperationalError,
    InterfaceError,
    NoConnectionLeft,
    Doubtful,
)
#: PostgreSQL's class of errors for what exceeds its limits: that is the message's fault.
_TOO_MUCH: Final = "54"
#: Seconds between two lines of the log that say how it goes.
_TELL_EVERY: Final = 10.0
_LONGEST_PAUSE: Final = 10.0


class _Gone(AthanorError):
    """The batch goes back to the broker."""


class RabbitSensor:
    """Takes batches from a consumer until it is stopped."""

    def __init__(
        self,
        consumer: Consumer,
        intake: Intake,
        database: Database,
        *,
        source: str,
        max_body_bytes: int,
        pauses: wait_base | None = None,
    ) -> None:
        """Take the collaborators; the consumer is open.

        Args:
            consumer: Where messages come from.
            intake: What stores them, under `source`.
            database: Where they are stored.
            source: The queue's name there; repeats are looked for under it.
            max_body_bytes: Larger messages are dead from the start.
            pauses: How long to wait before each new try while the database is away.
        """
        self.counts = Counts()
        self._consumer = consumer
        self._intake = intake
        self._database = database
        self._max_body_bytes = max_body_bytes
        self._pauses = pauses or wait_random_exponential(multiplier=0.25, max=_LONGEST_PAUSE)
        self._ledger = Ledger(consumer, source)
        self._stopping = asyncio.Event()
        self._told_at = monotonic()
        self._told = 0

    def stop(self) -> None:
        """Finish what is being stored, acknowledge it, and leave the rest to others."""
        self._stopping.set()

    async def run(self) -> None:
        """Store and acknowledge until stopped.

        Raises:
            ConfigurationError: The broker refuses us, and always will.
        """
        await self._when_possible(lambda session: self._ledger.open(session, now=utcnow()))
        while not self._stopping.is_set():
            batch = await self._next()
            if batch is None:
                break
            try:
                for part in parts_of(batch, max_body_bytes=self._max_body_bytes):
                    await self._store(part)
            except (_Gone, BrokerUnavailable) as error:
                logger.info("A batch of %d messages goes back: %s", len(batch), error)
                continue
            self._consumer.acknowledge(batch)
            self.counts.batches += 1
            self.counts.messages += len(batch)
            self._tell()
        await self._consumer.settle()
        await self._when_possible(self._ledger.close)
        logger.info("Sensor ends: %s", self.counts, extra={"action": "sensor_ended"})

    async def _next(self) -> Batch | None:
        """Wait for a batch; None when stopped before."""
        async with (
            beside(self._consumer.next_batch()) as waiting,
            beside(self._stopping.wait()) as stopped,
        ):
            await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None

    async def _store(self, part: Part) -> None:
        """Store a part; halve it around a message that is at fault, and set that aside."""
        try:
            await self._until_stored(part)
        except (_Gone, BrokerUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 (the sensor's one broad catch: split or bury)
            if len(part.indices) == 1:
                await self._blame(part, error)
                return
            middle = len(part.indices) // 2
            await self._store(part.only(part.indices[:middle]))
            await self._store(part.only(part.indices[middle:]))

    async def _until_stored(self, part: Part) -> None:
        """Store a part in one transaction, as often as the surroundings need.

        Raises:
            _Gone: It was delivered over a connection that is lost, or the sensor stops.
        """
        attempt = 0
        while True:
            try:
                await self._once(part, again=attempt > 0)
            except StoredAlready:
                break
            except Repeated as found:
                part = part.without(found.indices)
                continue
            except _NOT_THE_MESSAGE as error:
                if _exceeds(error):
                    raise
                attempt += 1
                await self._hold(part.batch, error, attempt)
                continue
            break
        self.counts.repeated += len(part.repeated)
        self.counts.dead += 0 if part.reason is None else len(part.new)

    async def _once(self, part: Part, *, again: bool) -> None:
        batch, now = part.batch, utcnow()
        forgotten = self._ledger.due()
        bodies = [batch.bodies[index] for index in part.new]
        ids = [batch.message_ids[index] for index in part.new]

        def also(session: Session) -> None:
            self._ledger.write(session, part, again=again, forgotten=forgotten, now=now)

        if not bodies:
            await self._database.write(also)
        elif part.reason is None:
            taken = await self._intake.accept(bodies, message_ids=ids, also=also)
            self.counts.repeated += sum(one.repeated for one in taken.stored)
        else:
            await self._intake.bury(bodies, message_ids=ids, reason=part.reason, also=also)
        self._ledger.stored(part, forgotten=forgotten)

    async def _blame(self, part: Part, error: Exception) -> None:
        """Keep the one message that cannot be taken in as dead; else leave it to the broker."""
        reason = f"{type(error).__name__}: {error}"
        logger.warning(
            "Set a message aside: %s", reason, exc_info=error, extra={"action": "message_dead"}
        )
        if part.reason is None:
            await self._store(part.buried(reason))
            return
        # Not even as dead.
        (index,) = part.indices
        await self._consumer.set_aside(part.batch, index, reason)
        metrics.RABBITMQ_SET_ASIDE.inc()
        self.counts.set_aside += 1

    async def _hold(self, batch: Batch, error: Exception, attempt: int) -> None:
        """Wait before the next try; the batch stays unacknowledged.

        Raises:
            _Gone: There will be no next try.
        """
        if not self._consumer.is_current(batch):
            raise _Gone("the connection that delivered it is lost") from error
        pause = self._pauses(_Attempt(attempt))  # pyright: ignore[reportArgumentType] (reads this)
        logger.warning(
            "Holding %d messages until they can be stored: %s",
            len(batch),
            error,
            extra={"action": "batch_held", "attempt": attempt},
        )
        if await self._stopped_within(pause):
            raise _Gone("the sensor stops") from error

    async def _when_possible(self, work: Callable[[Session], None]) -> None:
        """Do something in a transaction; leave it when the sensor stops meanwhile."""
        attempt = 0
        while True:
            try:
                await self._database.write(work)
            except _NOT_THE_MESSAGE as error:
                attempt += 1
                logger.warning("The sensor waits for the database: %s", error)
                pause = self._pauses(_Attempt(attempt))  # pyright: ignore[reportArgumentType]
                if await self._stopped_within(pause):
                    return
            else:
                return

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    def _tell(self) -> None:
        """Say now and then how it goes."""
        now = monotonic()
        if now - self._told_at < _TELL_EVERY:
            return
        rate = (self.counts.messages - self._told) / (now - self._told_at)
        logger.info(
            "Stored %s; %.0f messages/s", self.counts, rate, extra={"action": "sensor_progress"}
        )
        self._told_at, self._told = now, self.counts.messages


@dataclass(frozen=True)
class _Attempt:
    """What tenacity's waits read."""

    attempt_number: int


def _exceeds(error: Exception) -> bool:
    """Return whether PostgreSQL refuses a message for its size."""
    code = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
    return isinstance(code, str) and code.startswith(_TOO_MUCH)
