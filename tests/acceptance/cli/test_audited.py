"""Whatever command changes something, the audit says who did, and how it was and is."""

import getpass
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select, update
from sqlmodel import col
from typer.core import TyperGroup

from core.clock import utcnow
from entrypoints.registry import ENTRIES, load
from models.audit import AuditEntry
from models.base import DeliveryState
from models.cryoem.decision_tables import AthenaSession
from models.cryoem.tables import Acquisition, Grid
from models.database import Database
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from tests.acceptance.cli.conftest import GRID, Athanor
from tests.integration.retention.conftest import YEAR

KIND: Final = "foilhole.model_prediction"

#: Show something, or run a process, which writes down what it is asked to change and by whom.
CHANGE_NOTHING: Final = frozenset(
    {
        *("up", "init", "worker", "api", "sensor rabbitmq", "status", "report", "export"),
        *("agent watch", "agent status", "agent retry", "agent instructions"),
        *("sessions list", "sessions show", "decisions list", "decisions show"),
        *("decisions explain", "messages list", "messages show", "models list", "models show"),
        *("weights list", "weights history", "retention stats", "config show", "audit list"),
        *("users list", "keys list", "clients list"),
        *("record", "replay", "info", "verify", "demo"),
        *("simulate athena", "simulate epu", "simulate predictor"),
        *("simulate messages list-messages", "simulate messages workflow-simulation"),
        "simulate messages batch-simulation",
    }
)
MADE, CHANGED, GONE = "made", "changed", "gone"
#: What changes something: how it is called here, what of, and what becomes of it.
CHANGES: Final[list[tuple[str, tuple[Any, ...], str, str]]] = [
    ("sessions planner", (GRID, "adaptive"), "grid_plan", CHANGED),
    ("sessions assign", (GRID, "--organisation", "nt1"), "session_owner", CHANGED),
    ("sessions hold", (GRID, "--reason", "inquiry 7"), "session_hold", MADE),
    ("sessions release", (GRID, "--reason", "closed"), "session_hold", GONE),
    ("messages retry", ("--all",), "inbox_message", CHANGED),
    ("decisions retry", ("--all",), "outbox_message", CHANGED),
    ("models register", ("new-net", "Looks at ice"), "prediction_model", MADE),
    ("models describe", ("new-net", "--description", "v2"), "prediction_model", CHANGED),
    ("models random-predictions", ("holes-net", "--seed", 1), "inbox_message", MADE),
    ("weights init", ("holes-net", 2), "initial_weight", MADE),
    ("weights init", ("holes-net", 2, "--grid-uuid", GRID), "model_weight", MADE),
    ("weights random-updates", ("--seed", 1), "model_weight", CHANGED),
    ("users add", ("ada", "--generate", "--all-organisations"), "access_user", MADE),
    ("users role", ("ada", "operator"), "access_user", CHANGED),
    ("users organisations", ("ada", "nt1"), "access_user", CHANGED),
    ("users password", ("ada", "--generate"), "access_user", CHANGED),
    ("users disable", ("ada",), "access_user", CHANGED),
    ("users enable", ("ada",), "access_user", CHANGED),
    ("keys add", ("krios", "--organisation", "nt1"), "api_key", MADE),
    ("keys revoke", ("PREFIX",), "api_key", CHANGED),
    ("clients add", ("murfey", "--organisation", "nt1"), "machine_client", MADE),
    ("clients disable", ("murfey",), "machine_client", CHANGED),
    ("ingest", ("FOLDER", "--atlas", "ATLAS"), "grid", MADE),
    ("retention run", ("--yes",), "retention", GONE),
    ("import", ("ARCHIVE",), "grid", MADE),
]


def names(command: Any, name: str) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        for part, below in command.commands.items():
            yield from names(below, f"{name} {part}")
    else:
        yield name


def test_it_is_known_of_each_command_whether_it_changes_anything() -> None:
    there = {name for one in ENTRIES for name in names(load(one), one.name)}
    assert there == {*(name for name, *_ in CHANGES), *CHANGE_NOTHING}


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{home / 'athanor.db'}")) as opened:
        yield opened


@pytest.fixture
def old(database: Database) -> None:
    """Let retention find the session, and `retry` its predictions."""
    then = utcnow() - 3 * YEAR
    with database.transaction() as session:
        session.execute(update(Acquisition).values(started_at=then, ended_at=then))
        session.execute(update(Grid).values(last_news_at=then))
        session.execute(update(AthenaSession).values(run_stopped_at=then))
        session.execute(
            update(InboxMessage)
            .where(col(InboxMessage.kind) == KIND, col(InboxMessage.key) == str(GRID))
            .values(state=DeliveryState.DEAD, attempts=5, error="gave up after 5 attempts")
        )
        session.execute(
            update(OutboxMessage).values(state=DeliveryState.DEAD, error="AthenaRefused: 400")
        )


def since(database: Database, seq: int) -> list[AuditEntry]:
    statement = select(AuditEntry).where(col(AuditEntry.seq) > seq).order_by(col(AuditEntry.seq))
    with database.reading() as session:
        return list(session.scalars(statement))


def told(rows: list[AuditEntry], entity: str, how: str) -> list[AuditEntry]:
    """Return the rows that tell of such a change."""
    mine = [one for one in rows if one.entity == entity]
    if how == MADE:
        return [one for one in mine if one.before is None and one.after]
    if how == GONE:
        return [one for one in mine if one.before and not one.after]
    return [one for one in mine if one.before and one.after]


def test_each_command_that_changes_something_is_written_down(
    athanor: Athanor, database: Database, old: None, shared: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "session.tar.zst"
    assert athanor("export", GRID, "-o", archive).code == 0
    epu = shared / "epu" / "dls-2024"
    places = {"ARCHIVE": archive, "FOLDER": epu / "session", "ATLAS": epu / "atlas"}
    seq = 0
    for name, arguments, entity, how in CHANGES:
        if "PREFIX" in arguments:
            places["PREFIX"] = athanor("keys", "list", "--json").json["items"][0]["prefix"]
        said = athanor(*name.split(), *(places.get(one, one) for one in arguments))
        assert said.code == 0, (name, said.errors)
        rows = since(database, seq)
        seen = [(one.entity, one.before, one.after) for one in rows]
        assert told(rows, entity, how), (name, seen)
        assert len(rows) < 50, (name, seen)
        assert {(one.caller, one.caller_kind, one.route) for one in rows} == {
            (getpass.getuser(), "system", f"athanor {name}")
        }
        assert "$argon2" not in str(seen), name
        seq = rows[-1].seq or 0


def test_what_commands_show_is_no_change(athanor: Athanor, database: Database) -> None:
    for name in ("status", "sessions list", "messages list", "weights list", "users list"):
        assert athanor(*name.split()).code == 0
    assert athanor("retention", "run", "--dry-run").code == 0
    assert since(database, 0) == []
