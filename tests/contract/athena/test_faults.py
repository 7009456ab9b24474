"""What a client is told when the service fails, and what the service keeps."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.athena import AthenaClient, AthenaDecisionService
from core.errors import (
    AthenaError,
    AthenaOutcomeUnknown,
    AthenaUnavailable,
    ConfigurationError,
    PortTaken,
    StorageUnavailable,
)
from simulators.athena import Faults, running, serve
from tests.conftest import ROOT
from tests.contract.athena.service import (
    SESSION,
    decision,
    hole,
    populate,
    service,
    set_faults,
    stats,
)
from tests.support import wait_until

TOKEN = "s3cr3t-t0ken"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def test_a_dropped_answer_to_a_post_is_an_unknown_outcome_and_was_done() -> None:
    async with service() as (client, url):
        await populate(client)
        await set_faults(url, drop_after_commit=1)
        sent = [decision(2), decision(3)]
        with pytest.raises(AthenaOutcomeUnknown, match=r"^POST Decisions: RemoteProtocolError"):
            await client.post_decisions(sent)
        with pytest.raises(AthenaOutcomeUnknown, match=r"^POST RunStart"):
            await client.start_run(SESSION)
        kept = await client.find_decisions(SESSION)

        assert [one.id for one in kept] == [one.id for one in sent]
        assert len(await client.find_runs(SESSION)) == 1
        assert (await stats(url))["dropped"] == 2


async def test_a_dropped_answer_to_what_may_be_repeated_is_unavailability() -> None:
    async with service() as (client, url):
        await populate(client)
        await set_faults(url, drop_after_commit=1)
        with pytest.raises(AthenaUnavailable):
            await client.put_areas([hole(4)])
        with pytest.raises(AthenaUnavailable):
            await client.delete_all_decisions(SESSION)

        assert (await client.get_area(SESSION, 4)).id == 4


async def test_what_is_refused_is_never_dropped() -> None:
    async with service() as (client, url):
        await populate(client)
        await set_faults(url, drop_after_commit=1)
        with pytest.raises(AthenaError) as raised:
            await client.post_decision(decision(99))

    assert raised.value.status == 404


async def test_an_error_before_acting_is_told_as_its_status_and_method_say() -> None:
    async with service() as (client, url):
        await populate(client)
        await set_faults(url, error_rate=1)
        told = [await _status_and_kind(client.post_decision(decision(2))) for _ in range(20)]
        asked = [await _status_and_kind(client.find_decisions(SESSION)) for _ in range(20)]
        await set_faults(url)
        kept = await client.find_decisions(SESSION)
        counted = await stats(url)

    # 503 says that nothing was done; after a 500 only what may be repeated is known.
    assert set(told) == {(500, AthenaOutcomeUnknown), (503, AthenaUnavailable)}
    assert set(asked) == {(500, AthenaUnavailable), (503, AthenaUnavailable)}
    assert kept == ()
    assert counted["refused"] == 40


async def _status_and_kind(call: Awaitable[object]) -> tuple[int | None, type[AthenaError]]:
    with pytest.raises(AthenaError) as raised:
        await call
    return raised.value.status, raised.type


async def test_faults_strike_the_share_asked_for_and_repeat_with_their_seed() -> None:
    async def struck(seed: int) -> list[bool]:
        async with service(Faults(error_rate=0.3, seed=seed)) as (client, _):
            answers = await asyncio.gather(
                *(client.find_sessions() for _ in range(100)), return_exceptions=True
            )
            return [isinstance(answer, AthenaError) for answer in answers]

    first = await struck(1)

    assert 15 <= sum(first) <= 45
    assert sum(await struck(1)) == sum(first)


async def test_latency_delays_each_answer() -> None:
    loop = asyncio.get_running_loop()
    async with service(Faults(latency=0.3)) as (client, _):
        began = loop.time()
        await client.find_sessions()

    assert loop.time() - began >= 0.3


async def test_an_answer_that_comes_too_late_is_an_unknown_outcome_of_a_post() -> None:
    async with (
        running(faults=Faults(latency=1)) as simulator,
        AthenaClient(simulator.url, read_timeout=0.1) as client,
    ):
        with pytest.raises(AthenaOutcomeUnknown, match=r"^POST RunStart: ReadTimeout"):
            await client.start_run(SESSION)
        with pytest.raises(AthenaUnavailable, match=r"^GET Sessions: ReadTimeout"):
            await client.find_sessions()


async def test_a_dead_port_is_unavailability_even_for_a_post() -> None:
    async with AthenaClient(f"http://127.0.0.1:{free_port()}") as client:
        with pytest.raises(AthenaUnavailable, match=r"^POST Decision: ConnectError"):
            await client.post_decision(decision(2))


async def test_an_unknown_host_is_unavailability() -> None:
    async with AthenaClient("http://athena.invalid") as client:
        with pytest.raises(AthenaUnavailable, match=r"^GET Sessions: ConnectError"):
            await client.find_sessions()


async def test_a_restart_keeps_the_state(tmp_path: Path) -> None:
    state, sent = tmp_path / "state" / "athena.db", decision(2)
    async with service(state_path=state) as (client, _):
        await populate(client)
        await client.post_decision(sent)
    async with service(state_path=state) as (client, _):
        (kept,) = await client.find_decisions(SESSION)

        assert kept.id == sent.id
        assert len(await client.find_areas(SESSION)) == 3


async def test_kill_minus_nine_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    state = tmp_path / "athena.db"
    async with process(state, free_port()) as (client, killed):
        await populate(client)
        for _ in range(50):
            await client.post_decision(decision(2))
        await killed()
    async with service(state_path=state) as (client, _):
        assert len(await client.find_decisions(SESSION)) == 50


@asynccontextmanager
async def process(
    state: Path, port: int
) -> AsyncIterator[tuple[AthenaClient, Callable[[], Awaitable[None]]]]:
    """Run a service as a process; give a client and what kills it."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from simulators.athena import serve\n"
        "asyncio.run(serve('127.0.0.1', int(sys.argv[1]), pathlib.Path(sys.argv[2])))\n"
    )
    running_process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(port), str(state), cwd=ROOT
    )

    async def kill() -> None:
        running_process.send_signal(signal.SIGKILL)
        await running_process.wait()

    async with AthenaClient(f"http://127.0.0.1:{port}") as client:
        try:
            await wait_until(lambda: _answers(client), what="the service to answer")
            yield client, kill
        finally:
            if running_process.returncode is None:
                await kill()


async def _answers(client: AthenaClient) -> bool:
    try:
        await client.version()
    except AthenaUnavailable:
        return False
    return True


async def test_serving_says_where_and_stops_when_cancelled() -> None:
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve("127.0.0.1", 0, started=started.set_result))
    async with AthenaClient(await started) as client:
        assert await client.version() == "simulator"
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(AthenaUnavailable):
            await client.version()


async def test_a_taken_port_is_named() -> None:
    async with running() as simulator:
        port = int(simulator.url.rpartition(":")[2])
        with pytest.raises(PortTaken, match=f"Port {port} for the Athena simulator"):
            async with running(port=port):
                pass


async def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1 port 0"):
        async with running(host="192.0.2.1"):
            pass


async def test_a_state_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match=r"file/athena\.db"):
        async with running(state_path=tmp_path / "file" / "athena.db"):
            pass


async def test_the_token_is_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    caplog.set_level(logging.DEBUG)
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    block = AthenaDecisionService(base_url=f"http://127.0.0.1:{port}", token=SecretStr(TOKEN))
    async with server, block.get_client() as client:
        with pytest.raises(AthenaError, match=r"^GET Sessions: 401 Unauthorized") as raised:
            await client.find_sessions()
        shown = f"{client!r} {vars(client)} {block!r} {raised.value!r} {caplog.text}"

    assert f"Authorization: Bearer {TOKEN}".encode() in heard[0]
    assert TOKEN not in shown
