"""Follows one session's instructions: each noted, acknowledged, acted on once, and answered."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from itertools import count

from pydantic import ValidationError

from agent.epu.api import SinkUnavailable
from agent.instructions.channel import Channel, ChannelRefused
from agent.instructions.information import Ways
from agent.instructions.journal import Journal, Note, Stage
from agent.instructions.performer import Performer
from agent.instructions.received import Ended, Instruction
from agent.instructions.stream import Event, InstructionStream

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE = 0.2


class Follower:
    """One session's instructions, from the stream to the last acknowledgement."""

    def __init__(
        self,
        channel: Channel,
        session_id: str,
        journal: Journal,
        performer: Performer,
        ways: Ways,
        *,
        longest_pause: float = 30.0,
    ) -> None:
        """Prepare, and connect to nothing."""
        self.session_id = session_id
        #: What is wrong with the stream; None while all is well.
        self.trouble: str | None = "not connected yet"
        self._channel = channel
        self._journal = journal
        self._performer = performer
        self._ways = ways
        self._longest_pause = longest_pause
        self._stream = InstructionStream(
            channel, session_id, longest_pause=longest_pause, on_trouble=self._note_trouble
        )
        #: Noted, to be acknowledged before anything is done about it.
        self._noted: asyncio.Queue[Instruction] = asyncio.Queue()
        #: Acknowledged, to be acted on: the urgent first.
        self._due: asyncio.PriorityQueue[tuple[tuple[int, int], int, Instruction]] = (
            asyncio.PriorityQueue()
        )
        #: Acted on, to be told.
        self._ended: asyncio.Queue[tuple[Instruction, Ended]] = asyncio.Queue()
        self._places = count()
        #: What waits in one of these.
        self._held: set[str] = set()

    async def run(self) -> None:
        """Follow until cancelled, or until the API says that the session is over."""
        for note in await asyncio.to_thread(self._journal.open_notes, self.session_id):
            self._resume(note)
        loops = [
            asyncio.create_task(one(), name=f"{one.__name__} {self.session_id}")
            for one in (self._listen, self._receive, self._act, self._tell, self._beat)
        ]
        try:
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        except ChannelRefused as refusal:
            logger.info(
                "Session %s is not followed any more: %s",
                self.session_id,
                refusal,
                extra={"action": "session_left", "domain": "cryoem"},
            )
        finally:
            for one in loops:
                one.cancel()
            await asyncio.wait(loops)

    def _note_trouble(self, trouble: str | None) -> None:
        self.trouble = trouble

    def _resume(self, note: Note) -> None:
        """Go on with what an agent before this one had begun."""
        self._held.add(note.instruction.instruction_id)
        if note.ended is not None:
            self._ended.put_nowait((note.instruction, note.ended))
        elif note.stage is Stage.BEGUN:
            self._put_due(note.instruction)
        else:
            self._noted.put_nowait(note.instruction)

    def _put_due(self, instruction: Instruction) -> None:
        self._due.put_nowait((instruction.turn, next(self._places), instruction))

    async def _listen(self) -> None:
        async for event in self._stream.events():
            if event.kind == "instruction":
                await self._take(event)

    async def _take(self, event: Event) -> None:
        """Note an instruction on the disk, unless it is not for us."""
        try:
            instruction = Instruction.model_validate(event.data)
        except ValidationError as error:
            logger.warning(
                "The stream of session %s brings what is no instruction: %s",
                self.session_id,
                error,
                extra={"action": "instruction_unreadable", "domain": "cryoem"},
            )
            return
        mine = (self._channel.agent_id, self.session_id)
        if (instruction.agent_id, instruction.session_id) != mine:
            logger.warning(
                "Instruction %s is for agent %s in session %s, and left alone",
                instruction.instruction_id,
                instruction.agent_id,
                instruction.session_id,
                extra={"action": "instruction_misdirected", "domain": "cryoem"},
            )
            return
        known = await asyncio.to_thread(self._journal.note, instruction)
        if instruction.instruction_id in self._held:
            return
        self._held.add(instruction.instruction_id)
        if known is not None and known.ended is not None:
            # Done before, and asked again: it was not heard what came of it.
            self._ended.put_nowait((known.instruction, known.ended))
        else:
            self._noted.put_nowait(instruction)

    async def _receive(self) -> None:
        """Acknowledge what came, and let it be acted on once the API knows that we have it.

        Not before: it may have been called off, or be out of time, and the API says so now.
        """
        while True:
            instruction = await self._noted.get()
            if await self._said(instruction, None):
                self._put_due(instruction)

    async def _act(self) -> None:
        while True:
            _, _, instruction = await self._due.get()
            before = await asyncio.to_thread(self._journal.begin, instruction)
            ended = await self._performer.perform(instruction, repeated=before > 0)
            await asyncio.to_thread(self._journal.end, instruction, ended)
            self._ended.put_nowait((instruction, ended))

    async def _tell(self) -> None:
        while True:
            instruction, ended = await self._ended.get()
            if await self._said(instruction, ended):
                await asyncio.to_thread(self._journal.told, instruction)
                self._held.discard(instruction.instruction_id)

    async def _said(self, instruction: Instruction, ended: Ended | None) -> bool:
        """Tell the API, however long it takes; return False when it will not hear it."""
        ident = instruction.instruction_id
        try:
            await self._stubbornly(lambda: self._channel.acknowledge(self.session_id, ident, ended))
        except ChannelRefused as refusal:
            logger.warning(
                "The API will not hear that instruction %s was %s: %s",
                ident,
                ended.status if ended else "received",
                refusal,
                extra={"action": "acknowledgement_refused", "domain": "cryoem"},
            )
            await asyncio.to_thread(self._journal.told, instruction, refused=str(refusal))
            self._held.discard(ident)
            return False
        return True

    async def _stubbornly(self, say: Callable[[], Awaitable[None]]) -> None:
        pause = 0.0
        while True:
            try:
                await say()
            except SinkUnavailable as error:
                pause = min(max(2 * pause, _SHORTEST_PAUSE), self._longest_pause)
                moment = pause * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
                logger.info(
                    "%s; trying again in %.1f s",
                    error,
                    moment,
                    extra={"action": "acknowledgement_postponed", "domain": "cryoem"},
                )
                await asyncio.sleep(moment)
            else:
                return

    async def _beat(self) -> None:
        """Say now and then that we are there; a stream alone may be half open."""
        while True:
            try:
                await self._channel.heartbeat(self.session_id)
            except (SinkUnavailable, ChannelRefused) as error:
                # Before the stream is open there is no connection to keep alive.
                logger.debug("No heartbeat: %s", error)
            await asyncio.sleep(self._ways.chosen.heartbeat_seconds)
