"""`smartem.agent-cleanup`: retention by the words that users of SmartEM know."""

from enum import StrEnum
from typing import Annotated

import typer

from core.settings import Settings
from domains.retention import Operation, PolicyName
from models.retention.report import RetentionReport, RetentionStats


class KnownPolicy(StrEnum):
    """Policies that SmartEM has."""

    SCIENTIFIC = "scientific"
    DEVELOPMENT = "development"


#: What SmartEM calls the agents' tables.
_RECORDS = {
    "sessions": "agent_session",
    "instructions": "instruction",
    "connections": "agent_connection",
    "acknowledgements": "instruction_ack",
}


def agent_cleanup(
    policy: Annotated[
        KnownPolicy, typer.Option(help="Retention policy to use.")
    ] = KnownPolicy.SCIENTIFIC,
    operation: Annotated[Operation, typer.Option(help="Operation to perform.")] = Operation.STATS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be cleaned up, and change nothing.")
    ] = False,
) -> None:
    """Clean up what agents left behind; the same as `athanor retention`."""
    from entrypoints import retaining  # noqa: PLC0415 (`--help` shall be fast)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)

    chosen = PolicyName(policy.value)
    settings = Settings()
    with opened_database(settings) as database:
        if operation is Operation.STATS:
            _print_stats(retaining.stats(settings, database, chosen))
            return
        if dry_run:
            typer.echo("DRY RUN MODE - No changes will be made")
        _print_report(retaining.cleanup(settings, database, operation, chosen, dry_run=dry_run))


def _print_stats(found: RetentionStats) -> None:
    rows = {one.table: one for one in found.sizes}
    typer.echo("Agent Communication Data Statistics:")
    typer.echo(f"Record counts: { {name: rows[table].rows for name, table in _RECORDS.items()} }")
    if any(rows[table].bytes is not None for table in _RECORDS.values()):
        typer.echo("Table sizes:")
        for table in _RECORDS.values():
            typer.echo(f"  {table}: {(rows[table].bytes or 0) / 1024:.0f} kB")


def _print_report(done: RetentionReport) -> None:
    verb = "would be" if done.dry_run else "were"
    title = {
        Operation.CLEANUP: "Cleanup Results",
        Operation.CONNECTIONS: "Connection cleanup",
        Operation.INSTRUCTIONS: "Instruction cleanup",
        Operation.SESSIONS: "Session cleanup",
    }[done.operation]
    typer.echo(f"{title}:")
    for one in done.aged:
        typer.echo(f"  {one.table}: {one.rows} ({one.what}, before {one.before.isoformat()})")
    for session in done.sessions:
        typer.echo(f"  session {session.name} ({session.grid_uuid}): {sum(session.rows.values())}")
    if done.held:
        typer.echo(f"  {done.held} sessions are held and stay")
    typer.echo(f"{sum(done.tables.values())} rows {verb} removed or archived: {done.tables}")
