"""Retention as a run of Prefect's."""

from typing import Any

from prefect import task
from prefect.artifacts import acreate_table_artifact
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from blocks.resources import current
from core.clock import utcnow
from domains.retention import Age, Operation
from models import audit
from models.retention.report import RetentionReport
from tasks import retention_runs
from tasks.retention import Retention, policy_of
from tasks.retrying import RETRIES


@task(name="let go of what is old", **RETRIES)
async def retain(dry_run: bool = False) -> RetentionReport:
    """Delete what the policy of the settings says, or count it."""
    here = current()
    chosen = here.settings.retention
    retention = Retention(here.database, policy_of(chosen), chosen.export_folder)
    if dry_run:
        return await retention.foresee(Operation.CLEANUP)
    with audit.following(audit.elsewhere("prefect", "retention", ident=flow_run.id)):
        return await retention.run(Operation.CLEANUP)


@task(name="let go of old flow runs", **RETRIES)
async def retain_runs(dry_run: bool = False) -> int:
    """Delete Prefect's runs of our work pool that the policy says, or count them."""
    settings = current().settings
    before = policy_of(settings.retention).cutoff(Age.RUNS, utcnow())
    work = retention_runs.count_runs if dry_run else retention_runs.delete_runs
    async with get_client() as client:
        return await work(client, settings.worker.pool, before=before)


@task(name="report what went")
async def report_retention(report: RetentionReport, runs: int) -> None:
    """Leave a table of what went, or would go."""
    rows: list[dict[str, Any]] = [
        {"table": one.table, "what": one.what, "older than": str(one.before), "rows": one.rows}
        for one in report.aged
        if one.rows
    ]
    rows += [
        {
            "table": "(a session)",
            "what": f"{one.name} ({one.grid_uuid})",
            "older than": str(one.over_since),
            "rows": sum(one.rows.values()),
        }
        for one in report.sessions
    ]
    rows.append({"table": "(Prefect)", "what": "flow runs", "older than": "", "rows": runs})
    if report.held:
        rows.append({"table": "(held)", "what": "sessions that stay", "rows": report.held})
    await acreate_table_artifact(
        table=rows,
        key="retention",
        description=f"What {'would go' if report.dry_run else 'went'} by policy {report.policy}.",
    )
