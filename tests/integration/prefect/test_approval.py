"""A person approves what agents are told: on Prefect's page or through the API, who comes first."""

from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType
from sqlalchemy import select
from sqlmodel import Session, col

from blocks.resources import opened_doorbell, provide
from core.errors import Conflict
from deployments.project import DeploymentDefinition
from deployments.registry import register_deployments
from domains.cryoem.instructions import Mode
from messaging.launcher import Launcher
from models.audit import AuditEntry
from models.cryoem.instructions.making import NewInstruction
from models.cryoem.instructions.sessions import NewSession
from models.cryoem.instructions.tables import Instruction
from models.database import Database
from tasks.cryoem import instructing
from tasks.cryoem.approvals import Answer, Waiting, line_of
from tasks.cryoem.approving import carry_out
from tasks.cryoem.instruct_from_decisions import AWAITING
from tests.integration.prefect.conftest import Ended, working
from tests.session_fixtures import QuietResources, RecordingLauncher
from tests.session_fixtures import test_settings as quick_settings
from tests.support import wait_until

pytestmark = pytest.mark.prefect


@pytest.fixture
async def here(sqlite_url: str) -> AsyncIterator[QuietResources]:
    database = Database(sqlite_url)
    async with opened_doorbell(database) as doorbell:
        resources = QuietResources(
            quick_settings(), database, doorbell, RecordingLauncher(), cast(Any, None)
        )
        with provide(resources):
            yield resources
    database.close()


async def deployed(client: PrefectClient, pool: str, flow: str) -> str:
    definition = DeploymentDefinition.model_validate(
        {
            "name": f"{flow}-{pool}",
            "entrypoint": f"flows/cryoem/{flow}.py:{flow}",
            "work_pool": {"name": pool},
            "description": "A deployment of the tests.",
        }
    )
    (registered,) = await register_deployments(client, [definition])
    return registered.name


async def session_with(here: QuietResources, count: int) -> tuple[str, list[Instruction]]:
    """Open a session whose instructions a person approves, and make some."""
    of = await instructing.open_session(here, NewSession("epu-agent-1", mode=Mode.SEMI_AUTO))
    return of.session_id, await make(here, of.session_id, count)


async def make(here: QuietResources, session_id: str, count: int) -> list[Instruction]:
    one = NewInstruction(
        "microscope.control.skip_gridsquares",
        {"gridsquare_ids": ["7"], "reason": "thick | ice"},
        "a test",
        3_600.0,
        reason="thick | ice",
    )
    return await instructing.make(here, session_id, [one] * count)


async def standing(here: QuietResources, session_id: str) -> list[tuple[str, str | None]]:
    """Return state and judge of each instruction, by number."""

    def read(session: Session) -> list[tuple[str, str | None]]:
        rows = session.scalars(
            select(Instruction)
            .where(col(Instruction.session_id) == session_id)
            .order_by(col(Instruction.sequence_number))
        )
        held = {"approval": " (held)"}
        return [
            (one.status + (held[one.held] if one.held and not one.judged_by else ""), one.judged_by)
            for one in rows
        ]

    return await here.database.read(read)


async def written_down(here: QuietResources) -> list[AuditEntry]:
    """Return the audit, the oldest entry first."""

    def read(session: Session) -> list[AuditEntry]:
        return list(session.scalars(select(AuditEntry).order_by(col(AuditEntry.seq))))

    return await here.database.read(read)


async def suspended(client: PrefectClient, run_id: UUID) -> FlowRun:
    async def is_suspended() -> FlowRun | None:
        run = await client.read_flow_run(run_id)
        return run if run.state_name == "Suspended" else None

    run = await wait_until(is_suspended, what="the run to be suspended")
    assert run is not None
    return run


async def artifact(client: PrefectClient, run: FlowRun) -> str:
    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
    (found,) = await client.read_artifacts(artifact_filter=only)
    return str(found.data)


async def test_an_answer_at_prefect_counts_for_what_was_shown_and_outlives_the_worker(
    here: QuietResources, client: PrefectClient, pool: str, ended: Ended
) -> None:
    name = await deployed(client, pool, "approve_instructions")
    session_id, (first, _, third) = await session_with(here, 3)
    async with working(pool) as worker, Launcher(rung=worker.wake) as launcher:
        # As text, as the event says it that launches such runs.
        run_id = await launcher.launch(name, {"session_id": session_id, "through": "3"})
        await suspended(client, run_id)

        async def left() -> bool:
            return worker.health().running == 0

        await wait_until(left, what="the run to leave its place to others")
    # While nobody works: one is judged through the API, and another is made.
    await instructing.reject(here, third.id, by="grace", reason="no")
    await make(here, session_id, 1)

    answer = {"answer": "approve", "by": "ada", "only": [], "reason": ""}
    await client.resume_flow_run(run_id, run_input=answer)
    async with working(pool):
        run = await ended(run_id)

    assert run.state_type is StateType.COMPLETED
    assert run.name == f"approve-instructions {session_id}: 2 approved, 0 rejected"
    assert await standing(here, session_id) == [
        ("pending", "ada"),
        ("pending", "ada"),
        ("cancelled", "grace"),
        ("pending (held)", None),
    ]
    assert "rejected by grace" in await artifact(client, run)
    assert [(one.caller, one.request_id) for one in await written_down(here)] == [
        ("ada", str(run_id))
    ] * 2
    assert (AWAITING, {"session_id": session_id, "through": "4"}) in here.events
    # The API is told so.
    with pytest.raises(Conflict, match="nobody waits"):
        await instructing.reject(here, first.id, by="grace")


async def test_a_run_whose_instructions_were_judged_through_the_api_ends_and_says_so(
    here: QuietResources, client: PrefectClient, pool: str, ended: Ended
) -> None:
    name = await deployed(client, pool, "approve_instructions")
    sweep = await deployed(client, pool, "expire_instructions")
    session_id, made = await session_with(here, 2)
    launched = cast(RecordingLauncher, here.launcher).launched
    async with working(pool) as worker, Launcher(rung=worker.wake) as launcher:
        assert (await ended(await launcher.launch(sweep, {}))).state_type is StateType.COMPLETED
        assert launched == [("approve-instructions", session_id)], "nobody was asked yet"
        run_id = await launcher.launch(name, {"session_id": session_id, "through": 2})
        await suspended(client, run_id)
        for one in made:
            await ended(await launcher.launch(sweep, {}))
            assert (await client.read_flow_run(run_id)).state_name == "Suspended"
            assert len(launched) == 1, "a person is asked once"
            await instructing.approve(here, one.id, by="ada")

        await ended(await launcher.launch(sweep, {}))
        run = await ended(run_id)

    assert run.state_type is StateType.COMPLETED
    assert run.name == f"approve-instructions {session_id}: judged elsewhere"
    assert (await artifact(client, run)).count("approved by ada at") == 2
    assert len(launched) == 1


async def test_the_audit_says_who_is_said_to_have_answered_at_prefect(here: QuietResources) -> None:
    session_id, (first, second, third) = await session_with(here, 3)
    await instructing.approve(here, third.id, by="grace")
    waiting = Waiting(session_id, 3, tuple(line_of(one) for one in (first, second, third)))

    await carry_out.fn(waiting, Answer(answer="approve", by="ada", only=[1]))
    await carry_out.fn(waiting, Answer(answer="reject", by="bob", only=[2, 3], reason="ice"))

    approved, rejected = await written_down(here)
    for one in (approved, rejected):
        assert (one.caller_kind, one.method, one.route) == (
            "unverified",
            "prefect",
            "approve-instructions",
        )
        assert (one.entity, one.status) == ("instruction", None)
    assert (approved.caller, approved.entity_id) == ("ada", str(first.id))
    assert (rejected.caller, rejected.entity_id) == ("bob", str(second.id))
    before, after = approved.before or {}, approved.after or {}
    assert (before["held"], before["judged_by"]) == ("approval", None)
    assert (after["held"], after["judged_by"]) == (None, "ada")
    before, after = rejected.before or {}, rejected.after or {}
    assert (before["status"], after["status"]) == ("pending", "cancelled")
    assert after["ended_because"] == "rejected: ice"
