"""The loop that takes messages from the spool to the API, oldest first."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from agent.epu.api import Api, BatchRefused
from agent.epu.outgoing import Batch, Outgoing
from agent.epu.remembered import Ending, FileRecord, Remembered
from agent.epu.report import report_refusal
from agent.epu.spool import Spool, SpoolFull
from core import metrics
from core.errors import AthanorError
from models.cryoem.messages import Message

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
#: How often to look for what somebody else put into the spool (`athanor agent retry`), seconds.
_LOOK_EVERY = 5.0
#: How long a full spool is waited for before reading pauses visibly, seconds.
_ROOM_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """How sending goes; times in seconds since 1970."""

    url: str
    delivered: int = 0
    refused: int = 0
    last_answer: float | None = None
    #: What is wrong since when; None while all is well.
    trouble: str | None = None
    trouble_since: float | None = None


class SpoolSink:
    """Puts the agent's messages into the spool, and tells the sender."""

    def __init__(self, spool: Spool, sender: "Sender") -> None:
        self._spool = spool
        self._sender = sender

    async def send(
        self,
        messages: Sequence[Message],
        *,
        files: Sequence[FileRecord] = (),
        ending: Ending | None = None,
    ) -> None:
        """Return when the messages are on the disk; see `Sink.send`.

        Raises:
            SpoolFull: It is, and the API has made no room for some time.
        """
        while True:
            try:
                await asyncio.to_thread(self._put, messages, files, ending)
                break
            except SpoolFull:
                if not await self._sender.makes_room():
                    raise
        self._sender.wake()

    def _put(
        self, messages: Sequence[Message], files: Sequence[FileRecord], ending: Ending | None
    ) -> None:
        self._spool.put([outgoing(one) for one in messages], files=files, ending=ending)

    async def recall(self, grid: UUID) -> Remembered:
        """Return what the spool remembers of a grid."""
        return await asyncio.to_thread(self._spool.recall, grid)


class Sender:
    """Sends what is in the spool, batch after batch, for as long as it takes."""

    def __init__(self, spool: Spool, api: Api, *, longest_pause: float = _LONGEST_PAUSE) -> None:
        self._spool = spool
        self._api = api
        self._longest_pause = longest_pause
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._finishing = asyncio.Event()
        self._tries = 1
        self._delivered = 0
        self._refused = 0
        self._last_answer: float | None = None
        self._trouble: str | None = None
        self._trouble_since: float | None = None

    def wake(self) -> None:
        """Say that there is something in the spool."""
        self._news.set()

    async def makes_room(self) -> bool:
        """Return whether the API takes something from the spool within some seconds."""
        self._room.clear()
        self.wake()
        await _wait(self._room, _ROOM_SECONDS)
        return self._room.is_set()

    def status(self) -> Delivery:
        """Return how sending goes."""
        return Delivery(
            self._api.url,
            self._delivered,
            self._refused,
            self._last_answer,
            self._trouble,
            self._trouble_since,
        )

    def finish(self, *, tries: int) -> None:
        """Let `run` return once the spool is empty, or so many tries have failed in a row."""
        self._tries = tries
        self._finishing.set()
        self.wake()

    async def run(self) -> None:
        """Send until told to finish. What is on its way when cancelled, the next run repeats."""
        pause, failed = 0.0, 0
        while True:
            self._news.clear()
            try:
                is_empty = not await self._step()
                pause, failed = 0.0, 0
            except AthanorError as error:
                failed += 1
                pause = min(max(2 * pause, _SHORTEST_PAUSE), self._longest_pause)
                # Not all agents of a facility shall come back in the same moment.
                moment = pause * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
                self._note(error, moment)
                if self._finishing.is_set() and failed >= self._tries:
                    return
                await _wait(self._news if self._finishing.is_set() else self._finishing, moment)
                continue
            if is_empty:
                if self._finishing.is_set():
                    return
                await _wait(self._news, _LOOK_EVERY)

    async def _step(self) -> bool:
        """Send the oldest batch; return whether there was one."""
        batch = await asyncio.to_thread(self._spool.next_batch)
        if batch is None:
            return False
        try:
            await self._api.post([one.body for one in batch.messages], key=batch.key)
        except BatchRefused as refusal:
            self._answered("refused")
            await asyncio.to_thread(self._set_aside, batch, refusal)
        else:
            self._answered("accepted")
            await asyncio.to_thread(self._spool.delivered, batch)
            self._delivered += len(batch.messages)
            self._room.set()
            logger.info(
                "Sent %d messages",
                len(batch.messages),
                extra={"action": "sent", "domain": "cryoem", "batch": batch.key},
            )
        return True

    def _set_aside(self, batch: Batch, refusal: BatchRefused) -> None:
        named = refusal.named
        if not named and len(batch.messages) > 1:
            self._spool.halve(batch)
            return
        named = named or {0: refusal.reason}
        reports = [
            outgoing(told)
            for index, reason in named.items()
            if (told := report_refusal(batch.messages[index].body, reason)) is not None
        ]
        self._spool.refuse(batch, named, reports)
        self._refused += len(named)
        for index, reason in named.items():
            logger.warning(
                "The API refuses what %s says: %s",
                batch.messages[index].path or batch.messages[index].kind,
                reason,
                extra={"action": "message_refused", "domain": "cryoem"},
            )

    def _answered(self, outcome: str) -> None:
        metrics.AGENT_SENDS.labels(outcome).inc()
        metrics.AGENT_ANSWERED.set_to_current_time()
        self._last_answer = time.time()
        if self._trouble is not None:
            logger.info(
                "The API answers again", extra={"action": "send_resumed", "domain": "cryoem"}
            )
        self._trouble = self._trouble_since = None

    def _note(self, error: AthanorError, pause: float) -> None:
        metrics.AGENT_SENDS.labels("failed").inc()
        self._trouble = str(error)
        self._trouble_since = self._trouble_since or time.time()
        logger.warning(
            "%s; trying again in %.1f s",
            error,
            pause,
            extra={"action": "send_postponed", "domain": "cryoem"},
        )


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Return when it happens, or after a time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def outgoing(message: Message) -> Outgoing:
    """Return a message as it is kept and sent."""
    assert message.message_id is not None  # noqa: S101 (all that the agent says has an id)
    return Outgoing(
        message.message_id,
        str(getattr(message, "event_type", "")),
        str(getattr(message, "path", "")),
        message.model_dump_json().encode(),
    )
