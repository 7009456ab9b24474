"""The agent as a whole: watcher, spool and sender, and what it says of itself."""

import asyncio
import contextlib
import os
import platform
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from agent.beside import beside
from agent.epu.outgoing import Depth, Refused
from agent.epu.sender import Sender
from agent.epu.spool import Spool
from agent.epu.state import Running, StateFolder
from agent.epu.status import WatchStatus
from agent.epu.watch import Watcher
from core.errors import AthanorError

#: How often the status is written when something has changed, and when nothing has, seconds.
_WRITE_EVERY = 1.0
_BEAT_EVERY = 5.0
#: How long a stopping agent sends on what is in the spool, seconds.
_LAST_SECONDS = 3.0
#: How often `once` tries to reach the API before it leaves the rest to the next agent.
_TRIES = 5
#: Most failures that a status names.
_NAMED = 100


@dataclass(frozen=True, slots=True)
class Report:
    """How an agent stands: its files, and what is in the spool."""

    watched: WatchStatus
    depth: Depth
    #: Why what is in the spool has not been sent; None when all is well.
    trouble: str | None
    #: The latest messages that the API refused.
    refused: tuple[Refused, ...] = ()


class Companion(Protocol):
    """Something else that the agent does while it watches."""

    async def run(self) -> None:
        """Do it until cancelled."""
        ...

    def status(self) -> dict[str, Any]:
        """Return how it goes."""
        ...


class Agent:
    """Watches a folder and sees to it that the API gets to know all of it."""

    def __init__(
        self,
        folder: Path,
        watcher: Watcher,
        sender: Sender,
        spool: Spool,
        state: StateFolder,
        *,
        facts: dict[str, Any],
    ) -> None:
        """Prepare, and touch nothing.

        Args:
            folder: What is watched.
            watcher: Watches it, and reports to the spool.
            sender: Sends what is in the spool.
            spool: Between the two.
            state: Where the status is written.
            facts: What else the status is to say.
        """
        self._folder = folder
        self._watcher = watcher
        self._sender = sender
        self._spool = spool
        self._state = state
        self._facts = facts
        self._running = Running(state)
        self._began = time.time()
        self._instructions: Companion | None = None

    def receive(self, instructions: Companion) -> None:
        """Let something receive instructions while `run` watches."""
        self._instructions = instructions

    def grids(self) -> frozenset[UUID]:
        """Return the uuids of the grids whose sessions are watched."""
        return frozenset(self._watcher.status().sessions.values())

    def stop(self) -> None:
        """Let `run` return soon; what is not sent yet stays in the spool."""
        self._watcher.stop()

    async def report(self) -> Report:
        """Return how it stands now."""
        depth, refused = await asyncio.to_thread(self._look)
        return Report(self._watcher.status(), depth, self._sender.status().trouble, refused)

    def _look(self) -> tuple[Depth, tuple[Refused, ...]]:
        return self._spool.depth(), tuple(self._spool.dead(_NAMED))

    async def run(self, *, once: bool = False) -> Report:
        """Watch until `stop`, or with `once` report what there is now and try to send it.

        Raises:
            ConfigurationError: The folder cannot be read, or the state's cannot be written.
        """
        try:
            async with self._saying():
                if once:
                    await self._once()
                else:
                    await self._watch()
            return await self.report()
        finally:
            self._running.release()

    async def _watch(self) -> None:
        async with beside(self._sender.run()) as sending, beside(self._receive()) as receiving:
            watching = asyncio.create_task(self._watcher.run())
            try:
                await asyncio.wait(
                    {watching, sending, receiving}, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                self._watcher.stop()
                await watching
            self._sender.finish(tries=1)
            await asyncio.wait({sending}, timeout=_LAST_SECONDS)
            if sending.done():
                sending.result()

    async def _receive(self) -> None:
        if self._instructions is None:
            await asyncio.Event().wait()
        else:
            await self._instructions.run()

    async def _once(self) -> None:
        async with beside(self._sender.run()) as sending:
            await self._watcher.run(once=True)
            # What cannot be sent is in the spool for the next agent, and the report says so.
            self._sender.finish(tries=_TRIES)
            await sending

    @asynccontextmanager
    async def _saying(self) -> AsyncIterator[None]:
        """Write the status now and then during the block, and once more at its end."""
        await self._say(ended=False)
        try:
            async with beside(self._keep_saying()):
                yield
        finally:
            await self._say(ended=True)

    async def _keep_saying(self) -> None:
        written, at = None, time.monotonic()
        while True:
            await asyncio.sleep(_WRITE_EVERY)
            # A full disk must not end the watching; the spool complains of it loudly.
            with contextlib.suppress(AthanorError):
                found = await self.described()
                if found != written or time.monotonic() - at >= _BEAT_EVERY:
                    await asyncio.to_thread(self._write, found, ended=False)
                    written, at = found, time.monotonic()

    async def _say(self, *, ended: bool) -> None:
        await asyncio.to_thread(self._write, await self.described(), ended=ended)

    def _write(self, found: dict[str, Any], *, ended: bool) -> None:
        # Of two agents on one folder, the first tells of itself for as long as it lives.
        if self._running.take():
            self._state.write_status({**found, "written_at": time.time(), "ended": ended})

    async def described(self) -> dict[str, Any]:
        """Return what the status says, but for who wrote it when."""
        report = await self.report()
        watched, sending = report.watched, self._sender.status()
        now = time.time()
        return {
            "folder": str(self._folder),
            "pid": os.getpid(),
            "host": platform.node(),
            "began_at": self._began,
            **self._facts,
            "last_event_at": watched.last_event,
            "reading_paused": watched.paused,
            "files": {
                "seen": watched.seen,
                "reported": watched.sent,
                "waiting": watched.waiting,
                "failed": watched.failed,
                "by_kind": dict(watched.kinds),
            },
            "sessions": [
                {"folder": str(folder), "grid": str(grid)}
                for folder, grid in watched.sessions.items()
            ],
            "waiting_files": [
                # Since when, not for how long: then nothing changes while nothing happens.
                {
                    "path": str(file.path),
                    "reason": file.reason,
                    "since": round(now - file.age_seconds),
                }
                for file in watched.waiting_files
            ],
            "failures": [
                {"path": failure.path, "reason": failure.reason}
                for failure in watched.failures[:_NAMED]
            ],
            "spool": {"max_bytes": self._spool.max_bytes},
            "sending": {
                "url": sending.url,
                "delivered": sending.delivered,
                "refused": sending.refused,
                "last_answer_at": sending.last_answer,
                "trouble": sending.trouble,
                "trouble_since": sending.trouble_since,
            },
            "instructions": self._instructions and self._instructions.status(),
        }
