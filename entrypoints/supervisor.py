"""Several services in one process: started in order, stopped in reverse, together or not at all."""

import asyncio
import logging
import os
import signal
from asyncio import Event, Task
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from core.errors import AthanorError

logger = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class ServiceEnded(AthanorError):
    """A service ended though nobody stopped it."""

    def __init__(self, service: str) -> None:
        self.service = service
        super().__init__(f"The {service} ended by itself; everything else was stopped.")


class Service(Protocol):
    """Something that runs until it is stopped."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    async def start(self) -> None:
        """Return when it is at work; raise if it cannot be."""
        ...

    async def wait(self) -> None:
        """Return when it has ended; raise what ended it, if it was an error."""
        ...

    async def stop(self) -> None:
        """End it; do nothing if it has ended. A service that failed to start is stopped too."""
        ...


class Supervisor:
    """Runs services until one ends or somebody says stop."""

    def __init__(self, services: Sequence[Service]) -> None:
        """Take the services in the order of their start."""
        self._services = services
        self._asked = Event()

    def stop(self) -> None:
        """Ask everything to stop."""
        self._asked.set()

    @property
    def is_stopping(self) -> bool:
        """Whether somebody said stop."""
        return self._asked.is_set()

    async def run(self, *, started: Event | None = None) -> None:
        """Start all, wait, stop all.

        Args:
            started: Set when all services are at work.

        Raises:
            ServiceEnded: One ended by itself.
            Exception: Whatever a service raised at its start or end.
        """
        running: list[Service] = []
        with self._signals():
            try:
                for service in self._services:
                    running.append(service)
                    if not await self._unless_asked(service):
                        return
                if started:
                    started.set()
                await self._until_one_ends()
            finally:
                await _stop_all(reversed(running))

    async def _unless_asked(self, service: Service) -> bool:
        """Start a service; return False if meanwhile somebody said stop."""
        starting = asyncio.create_task(service.start(), name=f"start {service.name}")
        asked = asyncio.create_task(self._asked.wait())
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        await _end(asked)
        if starting.done():
            await starting
            return not self._asked.is_set()
        await _end(starting)
        return False

    async def _until_one_ends(self) -> None:
        """Return when somebody says stop; raise if a service ends before."""
        waits = {
            asyncio.create_task(service.wait(), name=f"wait {service.name}"): service
            for service in self._services
        }
        asked = asyncio.create_task(self._until_asked())
        try:
            done, _ = await asyncio.wait({asked, *waits}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {asked}:
                await task
                if not self._asked.is_set():
                    raise ServiceEnded(waits[task].name)
        finally:
            for task in (asked, *waits):
                await _end(task)

    async def _until_asked(self) -> None:
        await self._asked.wait()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn Ctrl-C and SIGTERM into a stop; the second one ends the process at once."""
        loop = asyncio.get_running_loop()
        if os.name != "posix":  # no loop handlers there: Ctrl-C cancels the main task
            yield
            return
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _signalled(self, number: signal.Signals) -> None:
        if self._asked.is_set():
            logger.warning("Asked a second time: ending at once")
            os._exit(128 + number)
        logger.info("Stopping (%s)", number.name, extra={"action": "stopping"})
        self._asked.set()


async def _stop_all(services: Iterator[Service]) -> None:
    """Stop every service, whatever one of them raises."""
    errors: list[Exception] = []
    for service in services:
        try:
            await service.stop()
        except Exception as exc:
            logger.exception("The %s did not stop cleanly", service.name)
            errors.append(exc)
    if errors:
        raise ExceptionGroup("services did not stop cleanly", errors)


async def _end(task: Task[object]) -> None:
    """Cancel a task and wait for its end; what it raised is somebody else's news."""
    task.cancel()
    await asyncio.wait({task})
