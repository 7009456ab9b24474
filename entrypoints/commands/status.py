"""`athanor status`: what is going on."""

from core.clock import utcnow
from core.settings import Settings
from core.version import version
from entrypoints import showing
from entrypoints.health_file import HealthFile, workers_folder
from entrypoints.showing import AsJson


def status(as_json: AsJson = False) -> None:
    """Show queues and their age, sessions, the latest decision, and latencies.

    It reads the database itself: nothing else needs to run.

    Example:
      athanor status --json | jq .inbox.by_state.dead
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.cryoem.queries.status import get_status  # noqa: PLC0415 (as above)

    settings = Settings()
    with opened_database(settings) as database, database.reading() as session:
        found = get_status(session, version=version(), now=utcnow())
        where = database.url.render_as_string(hide_password=True)
    if as_json:
        showing.print_json(found)
        return
    latest, latency = found.latest_decision, found.latency
    showing.print_fields(
        f"Athanor {found.version}",
        (
            ("database", where),
            ("sessions", f"{found.sessions.total}, {found.sessions.running} not ended"),
            ("inbox", found.inbox.by_state),
            ("oldest pending", showing.seconds(found.inbox.oldest_pending_seconds)),
            ("outbox", found.outbox.by_state),
            ("oldest unsent", showing.seconds(found.outbox.oldest_pending_seconds)),
            (
                "latest decision",
                f"{latest.decision_type} {latest.value}, {showing.ago(latest.made_at)}"
                if latest
                else None,
            ),
            (
                "prediction to Athena",
                f"p50 {showing.seconds(latency.p50_seconds)}, "
                f"p95 {showing.seconds(latency.p95_seconds)} "
                f"(last {latency.decisions:,} decisions)",
            ),
        ),
    )
    for one in HealthFile.read_all(workers_folder(settings.home)):
        showing.console().print(f"worker {one.told()}", style="yellow" if one.problems else None)
    dead = found.inbox.by_state.get("dead", 0)
    if dead:
        showing.console().print(
            f"{dead:,} messages need you: athanor messages list --state dead", style="yellow"
        )
