"""Look at what there is before anything is deleted."""

from datetime import datetime

from sqlalchemy import func, literal, select, text
from sqlmodel import Session, SQLModel, col

from domains.retention import Age, Operation, RetentionPolicy
from models.cryoem.decision_tables import AthenaSession
from models.cryoem.tables import Acquisition, Grid
from models.registry import all_tables
from models.retention import ageing, removal
from models.retention.conditions import Reckoning
from models.retention.removal import Due
from models.retention.report import AgedRows, RemovedSession, RetentionReport, TableSize
from models.retention.rules import RULES, Rule
from models.retention.tables import SessionHold
from models.sql import table_of

#: Operations that delete sessions as a whole.
_SESSIONS = (Operation.CLEANUP, Operation.SESSIONS)


def chosen(operation: Operation) -> tuple[Rule, ...]:
    """Return the rules that an operation applies."""
    if operation is Operation.CLEANUP:
        return RULES
    return tuple(rule for rule in RULES if rule.operation is operation)


def reckon(
    session: Session, policy: RetentionPolicy, operation: Operation, *, now: datetime
) -> tuple[Reckoning, list[Due], int]:
    """Return what the rules go by, which sessions go, and how many stay because they are held."""
    cutoff = policy.cutoff(Age.SESSIONS, now)
    due = removal.due(session, cutoff=cutoff) if operation in _SESSIONS else []
    held = removal.overdue_but_held(session, cutoff=cutoff) if operation in _SESSIONS else 0
    going_on = session.scalars(
        select(col(Grid.uuid))
        .join(Acquisition, col(Acquisition.uuid) == col(Grid.acquisition_uuid))
        .outerjoin(AthenaSession, col(AthenaSession.grid_uuid) == col(Grid.uuid))
        .where(
            col(Acquisition.ended_at).is_(None),
            col(AthenaSession.run_stopped_at).is_(None),
            col(Grid.last_news_at) >= policy.cutoff(Age.MESSAGES, now),
        )
    )
    of = Reckoning(
        policy,
        now,
        held=frozenset(session.scalars(select(col(SessionHold.grid_uuid)))),
        going_on=frozenset(going_on),
        leaving=frozenset(one.grid for one in due),
    )
    return of, due, held


def aged(rule: Rule, of: Reckoning, rows: int) -> AgedRows:
    """Return what became of a rule's rows."""
    table = str(rule.table.__tablename__)
    return AgedRows(table=table, what=rule.what, before=of.cutoff(rule.age), rows=rows)


def foresee(
    session: Session, policy: RetentionPolicy, operation: Operation, *, now: datetime
) -> RetentionReport:
    """Return what an operation would do now: counted by the conditions that it deletes by."""
    of, due, held = reckon(session, policy, operation, now=now)
    lines = [aged(rule, of, ageing.count(session, rule, of)) for rule in chosen(operation)]
    sessions = [
        RemovedSession(
            grid_uuid=one.grid,
            name=one.name,
            over_since=one.over_since,
            rows=removal.count(session, one.grid, now=now),
        )
        for one in due
    ]
    return report(of, operation, lines, sessions, held=held, dry_run=True)


def report(
    of: Reckoning,
    operation: Operation,
    lines: list[AgedRows],
    sessions: list[RemovedSession],
    *,
    held: int,
    dry_run: bool,
) -> RetentionReport:
    """Return what was done, added up by table."""
    tables: dict[str, int] = {}
    parts = [(one.table, one.rows) for one in lines]
    parts += [(table.split(" ")[0], n) for one in sessions for table, n in one.rows.items()]
    for table, rows in parts:
        tables[table] = tables.get(table, 0) + rows
    return RetentionReport(
        operation=operation,
        policy=of.policy.name,
        dry_run=dry_run,
        at=of.now,
        aged=lines,
        sessions=sessions,
        held=held,
        tables={table: rows for table, rows in sorted(tables.items()) if rows},
    )


def sizes(session: Session) -> tuple[list[TableSize], int | None]:
    """Return what each table holds, the largest first, and the whole database's bytes."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    found = [_size(session, model, is_sqlite=is_sqlite) for model in all_tables()]
    found.sort(key=lambda one: (-(one.bytes or 0), -one.rows, one.table))
    if is_sqlite:
        pages = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        return found, session.scalar(text(pages))
    return found, session.scalar(select(func.pg_database_size(func.current_database())))


def _size(session: Session, model: type[SQLModel], *, is_sqlite: bool) -> TableSize:
    name = table_of(model).name
    rows = session.scalar(select(func.count()).select_from(model)) or 0
    size = None
    if not is_sqlite:
        # The name is a constant of ours, quoted for the one table whose name is a word of SQL's.
        size = session.scalar(select(func.pg_total_relation_size(literal(f'"{name}"'))))
    return TableSize(table=name, rows=rows, bytes=size)
