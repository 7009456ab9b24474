"""Events, notifications, and a Prefect server that dies: one real `athanor up`."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from entrypoints.worker.worker import STOPS_WITHIN as LEAVES_WITHIN
from models.cryoem.messages import (
    EpuFailureMessage,
    GridRegistered,
    SessionEndedMessage,
    SquarePrediction,
)
from tests.acceptance.commands import athanor
from tests.acceptance.processes import Facility, Process, facility
from tests.session_fixtures import START, SmallSession
from tests.support import PATIENCE, selection_ids, wait_for, wait_until

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Facility]:
    with facility(tmp_path_factory.mktemp("launching")) as made:
        made.start("simulate", "athena", "--port", str(made.athena_port), "--forget")
        yield made


@pytest.fixture(scope="module")
def up(plant: Facility) -> Process:
    return plant.up()


#: Most seconds from SIGTERM to the end: what the worker takes at most, five seconds each for runs,
#: requests and libraries, and ten for Prefect's server, which is then killed.
STOPS_WITHIN = LEAVES_WITHIN + 3 * 5 + 10

EVENTS = (
    "session.discovered",
    "grid.registered",
    "decision.submitted",
    "message.dead",
    "session.ended",
)


def bodies(session: SmallSession) -> list[dict]:
    return [m.model_dump(mode="json", exclude_none=True) for m in session.all()]


def prediction(session: SmallSession, square: int) -> dict:
    return SquarePrediction(
        grid_uuid=session.grid,
        gridsquare_id=square,
        prediction_model_name="squares-net",
        prediction_value=0.9,
        message_id=f"{session.grid}/prediction/{square}",
    ).model_dump(mode="json", exclude_none=True)


def events(plant: Facility, prefix: str) -> list[dict]:
    """Return what Prefect has heard, by the beginning of the events' names."""
    answer = httpx.post(
        f"{plant.prefect_url}/api/events/filter",
        json={"filter": {"event": {"prefix": [prefix]}}, "limit": 50},
        timeout=PATIENCE,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["events"]


def by_automation(run: dict[str, Any]) -> bool:
    """Return whether an automation made a run; of those that a ring made it is not said who did."""
    return (run["created_by"] or {}).get("type") == "AUTOMATION"


async def test_each_event_reaches_prefect_and_starts_what_it_shall(
    plant: Facility, up: Process
) -> None:
    session = SmallSession(squares=2, holes=2, name="told of")
    grid = str(session.grid)
    plant.post(bodies(session))
    plant.post([prediction(session, 1), prediction(session, 2)])

    async def submitted() -> bool:
        return bool(events(plant, "athanor.cryoem.decision.submitted"))

    await wait_until(submitted, what="decisions at Athena")
    bad = EpuFailureMessage(path="/x/a.dm", reason="broken", observed_at=START)
    ended = SessionEndedMessage(grid_uuid=session.grid, reason="done")
    registered = GridRegistered(grid_uuid=session.grid)
    plant.post([m.model_dump(mode="json", exclude_none=True) for m in (registered, bad, ended)])

    wanted = {f"athanor.cryoem.{name}" for name in EVENTS}

    async def all_there() -> bool:
        missing = wanted - {event["event"] for event in events(plant, "athanor.")}
        return not missing

    await wait_until(all_there, what="all events")
    found = {event["event"]: event["payload"] for event in events(plant, "athanor.")}
    assert found["athanor.cryoem.session.discovered"] == {"grid_uuid": grid}
    assert found["athanor.cryoem.session.ended"] == {"grid_uuid": grid}
    assert found["athanor.cryoem.message.dead"]["count"] == "1"
    assert found["athanor.cryoem.message.dead"]["reason"] == "broken"
    assert found["athanor.cryoem.decision.submitted"]["grid_uuid"] == grid

    for flow in ("register-session", "refresh-scores", "close-session", "notify"):
        wait_for(
            lambda flow=flow: [run for run in plant.runs(flow) if by_automation(run)],
            what=f"a run of {flow} by an automation",
        )


def test_a_worker_says_how_it_is(plant: Facility, up: Process) -> None:
    probe = athanor("worker", "--health", environment=plant.environment)
    status = athanor("status", environment=plant.environment)

    assert probe.code == 0
    assert "at work" in probe.output
    assert "of 20 runs" in status.output


async def test_a_killed_prefect_server_comes_back_and_nothing_is_lost(
    plant: Facility, up: Process
) -> None:
    squares = 60
    session = SmallSession(squares=squares, holes=1, name="without Prefect")
    async with httpx.AsyncClient(base_url=plant.athena_url, timeout=PATIENCE) as client:
        plant.post(bodies(session))
        half = squares // 2
        plant.post([prediction(session, square) for square in session.squares[:half]])
        (server,) = up.children()
        server.kill()
        server.wait(PATIENCE)
        # While it is away, messages are taken; the run at work goes on with them.
        plant.post([prediction(session, square) for square in session.squares[half:]])

        def back() -> bool:
            found = up.children()
            return bool(found) and found[0].pid != server.pid

        wait_for(back, what="another Prefect server")

        async def all_decided() -> bool:
            answer = await client.get(f"/api/v1/Session/{session.grid}/Decisions")
            return answer.status_code == 200 and len(selection_ids(answer.json())) >= squares

        # By the sweep at the latest, which Prefect's schedule starts every 30 s.
        await wait_until(all_decided, what="all decisions at Athena")
        answer = await client.get(f"/api/v1/Session/{session.grid}/Decisions")
        ids = selection_ids(answer.json())
        assert len(ids) == len(set(ids)) == squares
    assert plant.get("/health")["status"] == "ok"
    assert "is started again" in up.output()


def test_it_stops_in_time_though_prefects_server_hangs(plant: Facility, up: Process) -> None:
    """Stands last: nothing runs after it."""
    (server,) = up.children()
    session = SmallSession(squares=5, holes=1, name="at the end")
    plant.post(bodies(session))
    server.suspend()
    plant.post([prediction(session, square) for square in session.squares])

    assert up.stop(timeout=STOPS_WITHIN) == 0

    assert not server.is_running()
    assert "Stopped." in up.output()
    assert "Traceback" not in up.output()
