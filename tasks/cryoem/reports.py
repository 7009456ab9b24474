"""What a run leaves for a person to read: its name, and artifacts in Prefect's pages."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect import task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from blocks.resources import current
from models.cryoem import athena, summary
from models.cryoem.summary import SessionSummary
from tasks.draining import Drained


async def name_run(grid_uuid: UUID, done: str = "") -> None:
    """Name the run for what it did, such as `ingest-predictions Grid_7 214 messages`."""
    if flow_run.id is None:
        return
    name = await current().database.read(athena.grid_name, grid_uuid)
    async with get_client() as client:
        await client.update_flow_run(
            UUID(flow_run.id), name=f"{flow_run.flow_name} {name} {done}".rstrip()
        )


@task(name="report what was done")
async def report_drained(grid_uuid: UUID, drained: Drained, *, what: str = "messages") -> None:
    """Name the run, and leave a table of what it did."""
    done = f"{drained.messages} {what}" if drained.ran else "left to another run"
    await name_run(grid_uuid, done)
    rows: list[dict[str, Any]] = [
        {"what": what, "number": drained.messages},
        *({"what": note, "number": number} for note, number in sorted(drained.notes.items())),
        {"what": "waiting for something not known yet", "number": drained.waiting},
        {
            "what": "set aside as dead (`athanor messages list --state dead`)",
            "number": drained.dead,
        },
        {"what": "batches", "number": drained.batches},
    ]
    await acreate_table_artifact(
        table=[row for row in rows if row["number"]] or [{"what": "nothing to do", "number": 0}],
        key=f"{flow_run.flow_name}-{str(grid_uuid)[:8]}",
        description=f"What this run of {flow_run.flow_name} did for grid {grid_uuid}.",
    )


@task(name="summarise session")
async def report_session(grid_uuid: UUID) -> None:
    """Leave the session's summary (markdown) and its decisions (table) as artifacts."""
    here = current()
    told = await here.database.read(summary.summarise, grid_uuid)
    await acreate_markdown_artifact(
        markdown=as_markdown(told),
        key=f"session-{str(grid_uuid)[:8]}",
        description=f"Summary of session {told.name}.",
    )
    decisions = await here.database.read(summary.decision_rows, grid_uuid)
    await acreate_table_artifact(
        table=decisions or [{"decision": "none yet"}],
        key=f"decisions-{str(grid_uuid)[:8]}",
        description=f"Decisions of session {told.name}, newest first.",
    )


def as_markdown(told: SessionSummary) -> str:
    """Return a session's summary as a person reads it."""
    started = told.started_at.strftime("%Y-%m-%d %H:%M UTC") if told.started_at else "not known"
    lines = [
        f"# Session {told.name}",
        "",
        f"Started {started}. Grid `{told.grid_uuid}`. " + _athena_sentence(told),
        "",
        *_table("Entity", "Count", told.entities),
        "",
        *_table("Area at Athena", "Count", told.areas),
        "",
        *_table("Decision", "Count", told.decisions),
        "",
        *_table("Decisions by state", "Count", told.deliveries),
    ]
    return "\n".join(lines)


def _athena_sentence(told: SessionSummary) -> str:
    if told.athena_session is None:
        return "Athena has not been told of it yet."
    sentence = f"Athena session `{told.athena_session}`"
    if told.run_number is not None:
        sentence += f", run {told.run_number}"
    if told.run_stopped_at is not None:
        return f"{sentence}, stopped: {told.stop_reason}."
    return f"{sentence}, going on."


def _table(first: str, second: str, rows: Mapping[str, int]) -> list[str]:
    return [
        f"| {first} | {second} |",
        "|---|---:|",
        *(f"| {name} | {number:,} |" for name, number in rows.items()),
    ]
