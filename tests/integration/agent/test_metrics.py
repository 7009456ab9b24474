"""An agent shows its files and its spool to whoever looks, while it runs."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.epu.metrics import AgentMetrics
from agent.epu.state import StateFolder
from core import metrics
from core.exposition import MetricsServer, gathered
from tests.integration.agent.receiver import Receiver, receiving
from tests.integration.agent.rig import copy_tree, running
from tests.integration.agent.test_agent import agent_on
from tests.support import wait_until

PLENTY = 10**9
Shown = dict[str, dict[str, float]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


async def scraped(server: MetricsServer) -> Shown:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}/metrics")
    return {
        family.name: {"".join(one.labels.values()): one.value for one in family.samples}
        for family in text_string_to_metric_families(answer.text)
    }


async def test_files_and_spool_are_shown_while_the_api_is_away_and_when_it_is_back(
    plain: Path, root: Path, tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: (503, {})
    copy_tree(plain / "session", root)
    before = metrics.REGISTRY.get_sample_value("athanor_agent_sends_total", {"outcome": "failed"})
    state = StateFolder(tmp_path / "state")
    async with agent_on(root, state, receiver.url, max_bytes=PLENTY) as agent:
        shown = AgentMetrics(agent.report, loop=asyncio.get_running_loop(), spool_max_bytes=PLENTY)
        server = MetricsServer(gathered(shown), host="127.0.0.1", port=0)
        await server.start()
        try:
            async with running(agent):

                async def is_kept() -> Shown | None:
                    found = await scraped(server)
                    failed = found["athanor_agent_sends"].get("failed", 0) > (before or 0)
                    unsent = found["athanor_agent_spool_messages"]["unsent"] == 3
                    return found if unsent and failed else None

                kept = await wait_until(is_kept, what="files in the spool, and a failed try")
                receiver.answer = lambda _: None

                async def is_sent() -> Shown | None:
                    found = await scraped(server)
                    left = found["athanor_agent_spool_messages"]["unsent"]
                    return found if left == 0 else None

                sent = await wait_until(is_sent, what="an empty spool")
        finally:
            await server.stop()

    assert kept is not None
    assert kept["athanor_agent_files"] == {"sent": 3, "waiting": 0, "failed": 0}
    assert kept["athanor_agent_spool_bytes"][""] > 0
    assert kept["athanor_agent_spool_max_bytes"][""] == PLENTY
    assert kept["athanor_agent_paused"][""] == 0
    assert sent is not None
    assert sum(sent["athanor_agent_reported_files"].values()) == 3
    assert sent["athanor_agent_sends"]["accepted"] >= 1
    assert sent["athanor_agent_last_answer_timestamp_seconds"][""] > 0
    assert sent["athanor_agent_spool_oldest_age_seconds"][""] == 0


async def test_an_agent_that_does_not_answer_keeps_nobody_waiting_for_long() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    async def never() -> None:
        raise AssertionError("is not asked")

    assert AgentMetrics(never, loop=loop, spool_max_bytes=1).collect() == []  # pyright: ignore[reportArgumentType]
