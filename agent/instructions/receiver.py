"""The agent's receiving side as a whole: which sessions it follows, and how that goes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agent.epu.api import SinkUnavailable
from agent.instructions.channel import Channel, ChannelRefused, Followed
from agent.instructions.driver import Driver
from agent.instructions.follower import Follower
from agent.instructions.information import Ways
from agent.instructions.journal import Journal
from agent.instructions.logs import LogLines, keep_handing_in
from agent.instructions.performer import Performer
from core.errors import AthanorError

logger = logging.getLogger(__name__)

#: How often to ask for which sessions we are instructed, in seconds.
_LOOK_EVERY = 5.0
#: What the API knows of so long ago is not sent again.
_FORGET_AFTER_SECONDS = 30 * 24 * 3600


@dataclass
class _Following:
    """A session that is followed, and the work on it."""

    follower: Follower
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def is_over(self) -> bool:
        return self.tasks[0].done()


class Receiver:
    """Follows every session that this agent is instructed for, as they come and go."""

    def __init__(
        self,
        channel: Channel,
        journal: Journal,
        driver: Driver,
        performer: Performer,
        ways: Ways,
        *,
        grids: Callable[[], Collection[UUID]] | None = None,
        look_every: float = _LOOK_EVERY,
        longest_pause: float = 30.0,
    ) -> None:
        """Prepare, and connect to nothing.

        Args:
            channel: Where the API is, and who we are there.
            journal: What we were told before.
            driver: What acts at the microscope.
            performer: Hands instructions to it.
            ways: What may be adjusted while we run.
            grids: The grids that are watched here: sessions about others are left to the
                agents that watch those. None follows all sessions under our name.
            look_every: Seconds between two looks for sessions, and between parts of the log.
            longest_pause: Most seconds between two tries of anything.
        """
        self._channel = channel
        self._journal = journal
        self._driver = driver
        self._performer = performer
        self._ways = ways
        self._grids = grids
        self._look_every = look_every
        self._longest_pause = longest_pause
        self._following: dict[str, _Following] = {}
        self._trouble: str | None = "not asked yet"
        self._lines = LogLines(ways)

    async def run(self) -> None:
        """Follow until cancelled."""
        await asyncio.to_thread(self._journal.forget, time.time() - _FORGET_AFTER_SECONDS)
        with self._lines.listening():
            try:
                while True:
                    await self._look()
                    await asyncio.sleep(self._look_every)
            finally:
                await self._leave(list(self._following))

    def status(self) -> dict[str, Any]:
        """Return how it goes, for the agent's status."""
        return {
            "agent_id": self._channel.agent_id,
            "driver": self._driver.name,
            "trouble": self._trouble,
            "sessions": {
                ident: one.follower.trouble for ident, one in sorted(self._following.items())
            },
            "instructions": self._journal.count(),
            "log_lines_dropped": self._lines.dropped,
        }

    async def _look(self) -> None:
        """Follow what is to be followed now, and nothing else."""
        try:
            wanted = {
                one.session_id for one in await self._channel.sessions() if self._is_ours(one)
            }
        except (SinkUnavailable, ChannelRefused) as error:
            # What is followed goes on; its stream says for itself when a session is over.
            self._trouble = str(error)
            return
        self._trouble = None
        over = [ident for ident, one in self._following.items() if one.is_over()]
        await self._leave([*over, *(set(self._following) - wanted - set(over))])
        for ident in wanted - set(self._following):
            self._follow(ident)

    def _is_ours(self, session: Followed) -> bool:
        if session.agent_id != self._channel.agent_id:
            return False
        if self._grids is None or session.grid is None:
            return True
        return session.grid in self._grids()

    def _follow(self, ident: str) -> None:
        follower = Follower(
            self._channel,
            ident,
            self._journal,
            self._performer,
            self._ways,
            longest_pause=self._longest_pause,
        )
        tasks = [
            asyncio.create_task(follower.run(), name=f"follow {ident}"),
            asyncio.create_task(
                keep_handing_in(self._lines, self._channel, ident, every=self._look_every),
                name=f"log of {ident}",
            ),
        ]
        self._following[ident] = _Following(follower, tasks)
        logger.info(
            "Follows the instructions of session %s",
            ident,
            extra={"action": "session_followed", "domain": "cryoem"},
        )

    async def _leave(self, idents: Collection[str]) -> None:
        """Let go of sessions; what is not done of them stays noted."""
        for ident in idents:
            one = self._following.pop(ident)
            for task in one.tasks:
                task.cancel()
            await asyncio.wait(one.tasks)
            for task in one.tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    if isinstance(error := task.exception(), AthanorError):
                        logger.error("Session %s: %s", ident, error)
                    elif error is not None:
                        raise error
