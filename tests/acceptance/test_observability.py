"""One message is followed through the log lines and metrics of real processes."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from entrypoints.ports import free_port
from models.cryoem.messages import Message
from tests.acceptance.processes import Facility, Process, facility
from tests.integration.api.played import hole_prediction, square_prediction
from tests.session_fixtures import SmallSession
from tests.support import PATIENCE, wait_for

pytestmark = pytest.mark.long

Line = dict[str, Any]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with facility(tmp_path_factory.mktemp("seen"), ATHANOR_LOG_JSON="true") as made:
        made.start("simulate", "athena", "--port", str(made.athena_port), "--forget")
        yield made


@pytest.fixture(scope="module")
def serving(plant: Facility) -> Process:
    """API and Prefect's server, without a worker."""
    return plant.up("--no-worker")


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def working(plant: Facility, serving: Process, metrics_port: int) -> Process:
    process = plant.start(
        "worker",
        PREFECT_API_URL=f"{plant.prefect_url}/api",
        ATHANOR_METRICS__PORT=str(metrics_port),
    )
    process.says("The worker takes runs")
    return process


def lines(process: Process) -> list[Line]:
    found = [line for line in process.output().splitlines() if line.startswith("{")]
    return [json.loads(line) for line in found]


def scraped(url: str) -> dict[str, dict[tuple[str, ...], float]]:
    answer = httpx.get(url, timeout=PATIENCE)
    assert answer.status_code == 200
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def bodies(*messages: Message) -> list[Line]:
    return [message.model_dump(mode="json", exclude_none=True) for message in messages]


@pytest.fixture(scope="module")
def followed(plant: Facility, working: Process) -> Line:
    """A prediction whose decision Athena has."""
    session = SmallSession()
    plant.post(bodies(*session.all()))
    holes = [hole_prediction(session, hole, 0.8) for hole in session.holes[1]]
    plant.post(bodies(*(square_prediction(session, one, 0.9) for one in session.squares), *holes))

    def decided() -> Line | None:
        listed = plant.get("/messages?kind=foilhole.model_prediction")["items"]
        message = plant.get(f"/messages/{listed[0]['id']}")
        sent = [plant.get(f"/decisions/{one}")["sent_at"] for one in message["decisions"]]
        return message if sent and all(sent) else None

    found = wait_for(decided, what="the decision at Athena")
    assert found is not None
    return found


def only(found: list[Line]) -> Line:
    assert len(found) == 1, found
    return found[0]


def test_the_line_of_its_storing_is_found_by_its_time(followed: Line, serving: Process) -> None:
    at = followed["received_at"]
    line = only([one for one in lines(serving) if one.get("received_at") == at])

    assert line["action"] == "messages_stored"
    assert followed["id"] in line["event_ids"]
    assert line["source"] == followed["source"]
    assert line["messages"] == 5


def test_the_lines_of_its_run_and_its_batch_are_found(followed: Line, working: Process) -> None:
    run = [one for one in lines(working) if one.get("flow_run_id") == followed["flow_run_id"]]
    batch = only([one for one in run if one.get("done_at") == followed["done_at"]])

    assert followed["id"] in batch["event_ids"]
    assert (batch["flow"], batch["key"]) == (followed["flow"], followed["key"])
    assert run[0]["action"] == "run_started"
    ended = wait_for(
        lambda: [
            one
            for one in lines(working)
            if one.get("action") == "run_ended" and one["flow_run_id"] == followed["flow_run_id"]
        ],
        what="the end of the run",
    )
    assert only(ended)["outcome"] == "completed"


def test_the_line_of_its_decision_is_found(
    plant: Facility, followed: Line, working: Process
) -> None:
    for ident in followed["decisions"]:
        decision = plant.get(f"/decisions/{ident}")
        sent = [one for one in lines(working) if ident in one.get("decision_ids", ())]
        line = only(sent)
        assert line["action"] == "decisions_sent"
        assert line["sent_at"] == decision["sent_at"]
        assert (line["flow"], line["key"]) == ("submit-decisions", followed["key"])
        assert line["flow_run_id"] != followed["flow_run_id"]


def test_each_batch_names_its_run_its_flow_and_its_grid(followed: Line, working: Process) -> None:
    found = [one for one in lines(working) if one.get("action") in {"batch_done", "decisions_sent"}]

    assert {one["key"] for one in found} == {followed["key"]}
    assert all({"flow_run_id", "flow"} <= one.keys() for one in found)


def test_the_worker_shows_its_metrics_on_its_own_port(followed: Line, metrics_port: int) -> None:
    shown = scraped(f"http://127.0.0.1:{metrics_port}/metrics")

    assert shown["athanor_worker_connected"][()] == 1
    assert shown["athanor_worker_runs_max"][()] == 20
    assert shown["athanor_messages_handled_total"]["ingest-predictions", "done"] == 5
    assert sum(shown["athanor_decision_seconds_count"].values()) >= len(followed["decisions"])
    assert sum(shown["athanor_runs_total"].values()) > 0
    assert "athanor_inbox_messages" not in shown
    assert "athanor_rabbitmq_connected" not in shown


def test_the_api_shows_what_it_took_in_and_the_queues(
    followed: Line, plant: Facility, serving: Process
) -> None:
    shown = scraped(f"{plant.api_url}/metrics")

    assert shown["athanor_messages_received_total"][followed["kind"], "stored"] == 3
    assert shown["athanor_inbox_messages"][followed["kind"], "pending"] == 0
    assert shown["athanor_database_up"][()] == 1
    assert "athanor_worker_runs" not in shown


def test_a_metrics_port_that_is_taken_is_told_at_once(
    plant: Facility, working: Process, metrics_port: int
) -> None:
    second = plant.start(
        "worker",
        PREFECT_API_URL=f"{plant.prefect_url}/api",
        ATHANOR_METRICS__PORT=str(metrics_port),
    )
    assert second.ended() != 0
    assert f"Port {metrics_port} for the metrics is already in use" in second.output()
    assert "ATHANOR_METRICS__PORT" in second.output()
