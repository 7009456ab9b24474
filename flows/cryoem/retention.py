"""What is old goes, once a day."""

from prefect import flow

from tasks.retaining import report_retention, retain, retain_runs


@flow(name="retention", flow_run_name="retention")
async def retention(dry_run: bool = False) -> dict[str, int]:
    """Let go of what the policy says, and leave a table of it; with `dry_run`, only count."""
    report = await retain(dry_run)
    runs = await retain_runs(dry_run)
    await report_retention(report, runs)
    return {**report.tables, "flow runs of Prefect": runs}
