"""`GET /metrics` shows what this process counted and how the queues are."""

from collections.abc import Iterator

import httpx
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from core import metrics
from messaging.doorbell import LocalDoorbell
from models.database import Database
from tests.metric_names import DEFINITIONS
from tests.session_fixtures import Here, SmallSession
from tests.session_fixtures import test_settings as short_settings


def families(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    return {
        family.name: {tuple(sorted(s.labels.items())): s.value for s in family.samples}
        for family in text_string_to_metric_families(text)
    }


async def test_queues_are_shown_by_kind_and_state(client: httpx.AsyncClient, here: Here) -> None:
    session = SmallSession()
    await here.send(*session.all())

    answer = await client.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    shown = families(answer.text)
    assert shown["athanor_inbox_messages"][("kind", "epu.square"), ("state", "pending")] == 2
    assert shown["athanor_database_up"][()] == 1
    assert shown["process_resident_memory_bytes"][()] > 0


async def test_no_series_is_named_that_is_not_defined(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")

    ours = {
        family.name
        for family in text_string_to_metric_families(answer.text)
        if family.name.startswith("athanor_") and not family.name.endswith("_created")
    }
    defined = {one.name.removesuffix("_total") for one in DEFINITIONS}
    assert ours - defined == set()


async def test_the_openmetrics_form_is_given_to_who_asks_for_it(client: httpx.AsyncClient) -> None:
    answer = await client.get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")


class Extra:
    """A collector of another service in the same process."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield metrics.WORKER_RUNS.gauge()


async def test_it_answers_without_a_database_and_shows_what_else_runs_here() -> None:
    gone = Database("postgresql://postgres@127.0.0.1:1/athanor")
    app = create_app(
        short_settings(),
        database=gone,
        doorbell=LocalDoorbell(),
        launcher=None,
        collectors=[Extra()],
    )
    async with httpx.AsyncClient(
        base_url="http://api", transport=httpx.ASGITransport(app)
    ) as client:
        answer = await client.get("/metrics")

    assert answer.status_code == 200
    assert "athanor_database_up 0.0" in answer.text
    assert "# TYPE athanor_worker_runs gauge" in answer.text
