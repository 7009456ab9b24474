"""The flows that take measurements and refreshes, run by a warm worker of a real Prefect server."""

from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import FlowRun, StateType
from sqlalchemy import delete, select
from sqlmodel import col

from blocks.resources import opened_doorbell, provide
from deployments.project import DeploymentDefinition
from deployments.registry import register_deployments
from messaging.launcher import Launcher
from models.cryoem.decision_tables import Decision
from models.cryoem.decisions import ORDER
from models.cryoem.processing_tables import CurrentMeasurement
from models.database import Database
from models.outbox import OutboxMessage
from tasks.cryoem import pictures
from tests import session_fixtures
from tests.integration.models.factories import hole_body
from tests.integration.prefect.conftest import Ended, working
from tests.integration.tasks.message_rig import Plot, Rig

pytestmark = pytest.mark.prefect

Run = Callable[[str, Plot], Awaitable[FlowRun]]


@pytest.fixture
async def rig(database: Database) -> AsyncIterator[Rig]:
    async with opened_doorbell(database) as doorbell:
        resources = session_fixtures.QuietResources(
            session_fixtures.test_settings(),
            database,
            doorbell,
            session_fixtures.RecordingLauncher(),
            cast(Any, None),
        )
        with provide(resources):
            yield Rig(resources)


@pytest.fixture
async def run(rig: Rig, pool: str, client: PrefectClient, ended: Ended) -> AsyncIterator[Run]:
    """Run one of our flows for a grid; return the run when it has ended."""
    async with working(pool) as worker, Launcher(rung=worker.wake) as launcher:

        async def run(flow: str, plot: Plot) -> FlowRun:
            definition = DeploymentDefinition.model_validate(
                {
                    "name": f"{flow}-{pool}",
                    "entrypoint": f"flows/cryoem/{flow}.py:{flow}",
                    "work_pool": {"name": pool},
                    "description": "A deployment of the tests.",
                }
            )
            (registered,) = await register_deployments(client, [definition])
            parameters = {"grid_uuid": str(plot.grid)}
            return await ended(await launcher.launch(registered.name, parameters))

        yield run


async def test_ingest_measurements_stores_what_came_in_and_names_its_run(
    rig: Rig, run: Run
) -> None:
    plot = Plot()
    await rig.tell(*plot.files(), plot.image(11))
    measured = {
        "event_type": "ctf.completed",
        "micrograph_uuid": str(plot.micrograph_uuid(11)),
        "ctf_max_resolution_estimate": 3.5,
    }
    await rig.take(measured, measured)

    done = await run("ingest_measurements", plot)
    again = await run("ingest_measurements", plot)

    assert (done.state_type, again.state_type) == (StateType.COMPLETED, StateType.COMPLETED)
    assert done.name == f"ingest-measurements Grid_{plot.name} 2 messages"
    assert again.name == f"ingest-measurements Grid_{plot.name} 0 messages"
    assert [row.value for row in rig.all(select(CurrentMeasurement))] == [3.5]
    assert set(rig.states()) == {"done"}


async def test_refresh_scores_decides_anew_asked_or_not(rig: Rig, run: Run) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(*(hole_body(plot.hole_uuid(hole), 0.9) for hole in plot.hole_ids(1)))
    before = decided(rig)
    assert len(before) == 1

    for asked in (True, False):
        await rig.database.write(_forget)
        if asked:
            await rig.take({"event_type": "refresh.predictions", "grid_uuid": str(plot.grid)})
        done = await run("refresh_scores", plot)
        assert done.state_type is StateType.COMPLETED
        assert done.name == f"refresh-scores Grid_{plot.name} {int(asked)} refreshes"
        assert decided(rig) == before


async def test_refresh_scores_leaves_pictures_once_a_minute_in_one_artifact(
    rig: Rig, run: Run, client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[f"pictures-{str(plot.grid)[:8]}"]))

    await run("refresh_scores", plot)
    (first,) = await client.read_artifacts(artifact_filter=only)
    await run("refresh_scores", plot)
    assert await client.read_artifacts(artifact_filter=only) == [first]
    monkeypatch.setattr(pictures, "_PAUSE", timedelta(0))
    await run("refresh_scores", plot)
    (second,) = await client.read_artifacts(artifact_filter=only)

    assert second.id != first.id
    assert isinstance(second.data, str)
    embedded = second.data.split("(data:image/png;base64,")[1:]
    assert len(embedded) == 4
    for one in embedded:
        assert b64decode(one.partition(")")[0]).startswith(b"\x89PNG\r\n")


def decided(rig: Rig) -> list[UUID]:
    """Return the ids of selections, in no order that means anything."""
    selections = select(col(Decision.id)).where(col(Decision.decision_type) != ORDER)
    return sorted(rig.all(selections))


def _forget(session: Any) -> None:
    session.execute(delete(OutboxMessage))
    session.execute(delete(Decision))
