"""`athanor retention …`: what is kept, and for how long."""

from typing import Annotated

import typer

from core.settings import Settings
from domains.retention import Operation, PolicyName
from entrypoints import showing
from entrypoints.showing import AsJson
from models.retention.report import RetentionReport, RetentionStats

app = typer.Typer(help="Look at what is kept, and let go of what is old.", no_args_is_help=True)

Policy = Annotated[
    PolicyName | None,
    typer.Option(help="By which ages; unset, as ATHANOR_RETENTION__POLICY says."),
]


@app.command("stats")
def show_stats(policy: Policy = None, as_json: AsJson = False) -> None:
    """Show how much each table holds, and how much of it a cleanup would delete.

    Example:
      athanor retention stats --policy development
    """
    from entrypoints import retaining  # noqa: PLC0415 (`athanor --help` shall be fast)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)

    settings = Settings()
    with opened_database(settings) as database:
        found = retaining.stats(settings, database, policy)
    if as_json:
        showing.print_json(found)
    else:
        print_stats(found)


@app.command()
def run(
    policy: Policy = None,
    operation: Annotated[
        Operation, typer.Option(help="All of it, or one part; stats deletes nothing.")
    ] = Operation.CLEANUP,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be deleted.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let go of what is older than the policy says.

    It may be interrupted at any time; the next run goes on.

    Examples:
      athanor retention run --dry-run

      athanor retention run --policy development --operation instructions --yes
    """
    from entrypoints import retaining  # noqa: PLC0415 (as above)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)

    if operation is Operation.STATS:
        show_stats(policy, as_json)
        return
    settings = Settings()
    with opened_database(settings) as database:
        if not (dry_run or yes):
            foreseen = retaining.cleanup(settings, database, operation, policy, dry_run=True)
            print_report(foreseen)
            if not is_anything(foreseen):
                return
            typer.confirm("Delete all of this?", abort=True)
        done = retaining.cleanup(settings, database, operation, policy, dry_run=dry_run)
    if as_json:
        showing.print_json(done)
    else:
        print_report(done)


def is_anything(report: RetentionReport) -> bool:
    """Return whether a report has anything to delete."""
    return bool(report.tables or report.runs)


def print_stats(found: RetentionStats) -> None:
    """Show what there is."""
    showing.print_table(
        "What there is",
        ("table", "rows#", "to go#", "MB#"),
        (
            (
                one.table,
                f"{one.rows:,}",
                f"{found.due.tables.get(one.table, 0):,}",
                None if one.bytes is None else f"{one.bytes / 1e6:,.1f}",
            )
            for one in found.sizes
            if one.rows
        ),
        empty="There is nothing yet.",
    )
    whole = found.database_bytes
    showing.print_fields(
        "Altogether",
        (
            ("database", None if whole is None else f"{whole / 1e6:,.1f} MB"),
            ("flow runs of Prefect", _runs(found.runs)),
            ("of them to go", _runs(found.due.runs)),
            ("sessions to go", len(found.due.sessions)),
            ("overdue, but held", found.due.held),
            ("policy", found.due.policy.value),
        ),
    )


def print_report(report: RetentionReport) -> None:
    """Show what was deleted, or would be."""
    verb = "Would go" if report.dry_run else "Gone"
    showing.print_table(
        f"{verb}, by age ({report.policy.value})",
        ("table", "what", "older than", "rows#"),
        ((one.table, one.what, one.before, f"{one.rows:,}") for one in report.aged if one.rows),
        empty="Nothing is too old.",
    )
    if report.sessions:
        showing.print_table(
            f"{verb}, as whole sessions",
            ("session", "grid uuid", "over since", "rows#", "archive"),
            (
                (
                    one.name,
                    one.grid_uuid,
                    one.over_since,
                    f"{sum(one.rows.values()):,}",
                    one.archive,
                )
                for one in report.sessions
            ),
            empty="",
        )
    if report.held:
        showing.console().print(f"{report.held:,} sessions stay because they are held.")
    if report.operation is Operation.CLEANUP:
        showing.console().print(f"Flow runs of Prefect: {_runs(report.runs)}.")
    showing.print_table(
        f"{verb}, by table",
        ("table", "rows#"),
        ((table, f"{rows:,}") for table, rows in report.tables.items()),
        empty="Nothing at all.",
    )


def _runs(number: int | None) -> str:
    return "not known, its server does not answer" if number is None else f"{number:,}"
