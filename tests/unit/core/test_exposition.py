"""A process shows its metrics on a port of their own, or says why it cannot."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from core import metrics
from core.errors import PortTaken
from core.exposition import MetricsServer, gathered
from core.version import version


@asynccontextmanager
async def served() -> AsyncIterator[MetricsServer]:
    server = MetricsServer(gathered(), host="127.0.0.1", port=0)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def test_scraping_shows_what_was_counted_in_the_form_that_prometheus_reads() -> None:
    metrics.RETRIES.labels("test").inc()
    async with served() as server, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    samples = families["athanor_retries"].samples
    assert any(one.labels == {"operation": "test"} and one.value >= 1 for one in samples)
    assert families["athanor_build_info"].samples[0].labels == {"version": version()}


async def test_the_openmetrics_form_is_given_to_who_asks_for_it() -> None:
    async with served() as server, httpx.AsyncClient() as client:
        answer = await client.get(
            f"http://127.0.0.1:{server.port}/metrics",
            headers={"Accept": "application/openmetrics-text; version=1.0.0"},
        )

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_single_metrics_can_be_asked_for() -> None:
    metrics.RETRIES.labels("test").inc()
    async with served() as server, httpx.AsyncClient() as client:
        answer = await client.get(
            f"http://127.0.0.1:{server.port}/metrics",
            params={"name[]": "athanor_retries_total"},
        )

    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert names == {"athanor_retries"}


async def test_a_stopped_server_leaves_its_port_free_and_no_thread() -> None:
    async with served() as server:
        port = server.port
    await server.stop()

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


async def test_a_port_that_is_taken_is_named_with_its_setting() -> None:
    async with served() as server:
        second = MetricsServer(gathered(), host="127.0.0.1", port=server.port)
        with pytest.raises(PortTaken, match=f"{server.port}.*ATHANOR_METRICS__PORT"):
            await second.start()
        await second.stop()
