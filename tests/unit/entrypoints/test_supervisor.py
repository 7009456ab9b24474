"""Services in one process."""

import asyncio
import os
import signal
import sys
from asyncio import Event

import pytest

from entrypoints.supervisor import ServiceEnded, Supervisor
from tests.conftest import ROOT
from tests.support import PATIENCE


class Recorded:
    """A service that writes down what becomes of it."""

    def __init__(
        self,
        name: str,
        diary: list[str],
        *,
        start_error: Exception | None = None,
        end_error: Exception | None = None,
        stop_error: Exception | None = None,
        starts: bool = True,
    ) -> None:
        self.name = name
        self.ended = Event()
        self._diary = diary
        self._start_error = start_error
        self._end_error = end_error
        self._stop_error = stop_error
        self._starts = starts

    async def start(self) -> None:
        self._diary.append(f"start {self.name}")
        if self._start_error:
            raise self._start_error
        if not self._starts:
            await Event().wait()

    async def wait(self) -> None:
        await self.ended.wait()
        if self._end_error:
            raise self._end_error

    async def stop(self) -> None:
        self._diary.append(f"stop {self.name}")
        self.ended.set()
        if self._stop_error:
            raise self._stop_error


async def started(supervisor: Supervisor) -> asyncio.Task[None]:
    """Run a supervisor until all its services are at work."""
    at_work = Event()
    running = asyncio.create_task(supervisor.run(started=at_work))
    async with asyncio.timeout(PATIENCE):
        await at_work.wait()
    return running


async def test_services_stop_in_the_reverse_order_of_their_start() -> None:
    diary: list[str] = []
    supervisor = Supervisor([Recorded("a", diary), Recorded("b", diary)])

    running = await started(supervisor)
    supervisor.stop()
    await running

    assert diary == ["start a", "start b", "stop b", "stop a"]


async def test_a_service_that_cannot_start_stops_those_before_it_and_gives_the_reason() -> None:
    diary: list[str] = []
    supervisor = Supervisor(
        [
            Recorded("a", diary),
            Recorded("b", diary, start_error=OSError("no room")),
            Recorded("c", diary),
        ]
    )

    with pytest.raises(OSError, match="no room"):
        await supervisor.run()

    assert diary == ["start a", "start b", "stop b", "stop a"]


async def test_a_service_that_fails_stops_the_others_and_gives_the_reason() -> None:
    diary: list[str] = []
    failing = Recorded("b", diary, end_error=OSError("disk full"))
    running = await started(Supervisor([Recorded("a", diary), failing]))

    failing.ended.set()

    with pytest.raises(OSError, match="disk full"):
        await running
    assert diary[-2:] == ["stop b", "stop a"]


async def test_a_service_that_ends_by_itself_is_named() -> None:
    diary: list[str] = []
    leaving = Recorded("API", diary)
    running = await started(Supervisor([leaving, Recorded("b", diary)]))

    leaving.ended.set()

    with pytest.raises(ServiceEnded, match="The API ended by itself"):
        await running


async def test_a_service_that_does_not_stop_cleanly_keeps_no_other_from_stopping() -> None:
    diary: list[str] = []
    supervisor = Supervisor(
        [Recorded("a", diary), Recorded("b", diary, stop_error=OSError("stuck"))]
    )
    running = await started(supervisor)

    supervisor.stop()

    with pytest.raises(ExceptionGroup):
        await running
    assert diary[-2:] == ["stop b", "stop a"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_stop_everything(number: signal.Signals) -> None:
    diary: list[str] = []
    running = await started(Supervisor([Recorded("a", diary)]))

    os.kill(os.getpid(), number)
    async with asyncio.timeout(PATIENCE):
        await running

    assert diary == ["start a", "stop a"]


async def test_a_stop_while_a_service_starts_does_not_wait_for_it() -> None:
    diary: list[str] = []
    supervisor = Supervisor([Recorded("a", diary, starts=False), Recorded("b", diary)])
    running = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)  # let it begin

    supervisor.stop()
    async with asyncio.timeout(PATIENCE):
        await running

    assert diary == ["start a", "stop a"]


STUBBORN = """
import asyncio
from asyncio import Event
from entrypoints.supervisor import Supervisor

class Stubborn:
    name = "stubborn"
    async def start(self): print("started", flush=True)
    async def wait(self): await Event().wait()
    async def stop(self):
        print("stopping", flush=True)
        await Event().wait()

asyncio.run(Supervisor([Stubborn()]).run())
"""


async def test_a_second_signal_ends_a_process_that_does_not_stop() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        STUBBORN,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    async with asyncio.timeout(PATIENCE):
        assert await process.stdout.readline() == b"started\n"
        process.send_signal(signal.SIGINT)
        assert await process.stdout.readline() == b"stopping\n"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 128 + signal.SIGINT
