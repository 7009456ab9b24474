"""The processes of deployments/compose.yaml, put together as that file says."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.commands import athanor
from tests.acceptance.installation import Installation, Services, installation
from tests.database_fixtures import PostgresDatabases
from tests.rabbitmq_fixtures import Rabbit
from tests.session_fixtures import SmallSession, bodies
from tests.support import PATIENCE, selection_ids, wait_for

SQUARES = 40

pytestmark = pytest.mark.long


@pytest.fixture
def rabbit(amqp_url: str) -> Iterator[Rabbit]:
    """The broker; the test looks at it seldom, and would miss heartbeats."""
    made = Rabbit(f"{amqp_url}?heartbeat=0")
    yield made
    made.close()


@pytest.fixture
def services(
    postgres_databases: PostgresDatabases, redis_url: str, amqp_url: str, rabbit: Rabbit
) -> Iterator[Services]:
    """Databases without tables, and names of this test's own."""
    databases = [postgres_databases.create(template="template0") for _ in range(2)]
    yield Services(
        database=databases[0],
        prefect_database=databases[1],
        redis=redis_url,
        amqp=amqp_url,
        queue=rabbit.name(),
        exchange=rabbit.exchange_name(),
    )
    for url in databases:
        postgres_databases.drop(url)


@pytest.fixture
def facility(services: Services, tmp_path: Path) -> Iterator[Installation]:
    with installation(services, tmp_path) as made:
        yield made


def test_a_facility_is_made_ready_decides_and_stops(
    facility: Installation, services: Services, rabbit: Rabbit, tmp_path: Path
) -> None:
    environment = facility.environment("worker", tmp_path / "home")
    facility.start("athena")
    migrating = facility.start("prefect-migrate")
    # What Kubernetes' pods wait with: the schema is not there yet.
    waiting = athanor("status", environment=environment)
    assert waiting.code == 1
    assert "athanor init" in waiting.sentence
    facility.done(migrating)
    facility.start("prefect-services")
    facility.is_healthy("prefect-api", facility.start("prefect-api"))
    facility.done(facility.start("athanor-init"))
    started = {
        name: facility.start_as_many_as_there_shall_be(name) for name in ("api", "worker", "sensor")
    }
    assert len(started["worker"]) == len(started["sensor"]) == 2
    for name, processes in started.items():
        for process in processes:
            facility.is_healthy(name, process)
    wait_for(lambda: workers_online(facility) == 2, what="two workers in Prefect's work pool")

    session = SmallSession(squares=SQUARES, holes=1, name="facility")
    body = bodies(session.all())
    answer = httpx.post(f"{facility.url('api')}/messages", json=body, timeout=PATIENCE)
    assert answer.status_code == 202, answer.text
    rabbit.put(services.queue, [json.dumps(one).encode() for one in bodies(session.predictions())])

    def decided() -> bool:
        answer = httpx.get(f"{facility.url('athena')}/api/v1/Session/{session.grid}/Decisions")
        return answer.status_code == 200 and len(selection_ids(answer.json())) == SQUARES

    wait_for(decided, what="the decisions at Athena")

    def at_rest() -> dict:
        status = athanor("status", "--json", environment=environment).json
        states = set(status["inbox"]["by_state"]) | set(status["outbox"]["by_state"])
        # An order that was not sent yet makes way for the next.
        settled = "done" in states and states <= {"done", "superseded"}
        return status if settled else {}

    status = wait_for(at_rest, what="nothing left to do")
    assert status["sessions"] == {"total": 1, "running": 1}
    assert rabbit.size(services.queue) == 0
    ended = facility.stop_all()
    # Prefect's parts end by the signal itself, after they have shut down.
    fine = {name: {0, -signal.SIGTERM} if name.startswith("prefect") else {0} for name in ended}
    assert {name: code for name, (code, _) in ended.items() if code not in fine[name]} == {}
    for name, (_, said) in ended.items():
        assert "Traceback" not in said, f"{name}: {said}"


def workers_online(facility: Installation) -> int:
    user, _, password = facility.auth.partition(":")
    answer = httpx.post(
        f"{facility.url('prefect-api')}/api/work_pools/athanor/workers/filter",
        json={"workers": {"status": {"any_": ["ONLINE"]}}},
        auth=(user, password),
        timeout=PATIENCE,
    )
    assert answer.status_code == 200, answer.text
    return len(answer.json())
