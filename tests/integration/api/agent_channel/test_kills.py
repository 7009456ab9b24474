"""Kill -9 of the API between the claim of an instruction and its sending."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from entrypoints.ports import free_port
from models.cryoem.instructions.tables import AgentSession, Instruction
from tests.acceptance.processes import Process
from tests.integration.api.agent_channel.conftest import Channel, following, serving
from tests.support import wait_until

#: Together more than a connection holds that nobody reads from.
COUNT, CHARACTERS = 25, 200_000


@contextmanager
def silent_agent(port: int, of: AgentSession) -> Iterator[socket.socket]:
    """Open the stream of an agent that reads nothing of it."""
    with socket.socket() as agent:
        agent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        agent.connect(("127.0.0.1", port))
        path = f"/agent/{of.agent_id}/session/{of.session_id}/instructions/stream"
        agent.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        yield agent


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_what_was_claimed_and_not_sent_is_sent_once_by_the_next_api(
    channel: Channel, tmp_path: Path
) -> None:
    of = await channel.session()
    reason = {"gridsquare_ids": ["7"], "reason": "x" * CHARACTERS}
    made = await channel.make(of, COUNT, payload=reason)
    port = free_port()
    api = Process(
        "api",
        environment={
            "ATHANOR_HOME": str(tmp_path),
            "ATHANOR_DATABASE_URL": channel.services.database.url.render_as_string(
                hide_password=False
            ),
            "ATHANOR_API__PORT": str(port),
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
        },
        log=tmp_path / "api.log",
    )

    async def rows() -> list[Instruction]:
        return await channel.rows(Instruction)

    try:
        api.says("The API is at")
        with silent_agent(port, of):

            async def claimed() -> bool:
                assert not api.has_ended, api.output()
                return all(one.claimed_by for one in await rows())

            await wait_until(claimed, what="a claim")
            api.kill()
    finally:
        api.kill()
    assert {(one.status, one.sends) for one in await rows()} == {("pending", 0)}

    async with serving(channel) as streams, streams.agent(of) as events:
        sent = [await following(events, "instruction", "heartbeat") for _ in made]
        assert [one["instruction_id"] for one in sent] == [str(one.id) for one in made]
        assert {one["attempt"] for one in sent} == {1}

        async def noted() -> bool:
            return all(one.sends for one in await rows())

        await wait_until(noted, what="a note of what was sent")
        for one in sent:
            answer = await streams.ack(of, one["instruction_id"], "processed")
            assert answer.status_code == 200, answer.text
    # Not once more.
    assert {(one.status, one.sends) for one in await rows()} == {("processed", 1)}
