"""`athanor retention …`, `athanor sessions hold` and `release`, and `smartem.agent-cleanup`."""

import sys
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from core.clock import utcnow
from entrypoints import smartem
from models.audit import AuditEntry
from models.cryoem.decision_tables import AthenaSession
from models.cryoem.tables import Acquisition, Grid
from models.database import Database
from tests.acceptance.cli.conftest import GRID, Athanor
from tests.integration.retention.conftest import YEAR, agent_session


@pytest.fixture
def old(home: Path) -> None:
    """Make the session three years older, and give it an agent's."""
    then = utcnow() - 3 * YEAR
    database = Database(f"sqlite:///{home / 'athanor.db'}")
    with database.transaction() as session:
        session.execute(update(Acquisition).values(started_at=then, ended_at=then))
        session.execute(update(Grid).values(last_news_at=then))
        session.execute(update(AthenaSession).values(run_stopped_at=then))
        agent_session(session, "titan-1", then, GRID)
    database.close()


def test_what_a_dry_run_counts_is_what_goes(athanor: Athanor, old: None) -> None:
    stats = athanor("retention", "stats", "--json").json
    rows = {one["table"]: one["rows"] for one in stats["sizes"]}
    assert (rows["grid"], rows["hole"], stats["runs"]) == (1, 6, None)
    assert stats["due"]["tables"]["hole"] == 6

    would = athanor("retention", "run", "--dry-run", "--json").json
    assert (would["dry_run"], would["tables"]) == (True, stats["due"]["tables"])
    assert "Would go, as whole sessions" in athanor("retention", "run", "--dry-run").output
    assert athanor("sessions", "list", "--json").json["items"] != []

    done = athanor("retention", "run", "--yes", "--json").json
    assert done["tables"] == would["tables"]
    assert [one["grid_uuid"] for one in done["sessions"]] == [str(GRID)]
    assert athanor("sessions", "list", "--json").json["items"] == []
    assert "Nothing at all." in athanor("retention", "run", "--yes").output
    assert "trial" not in athanor("retention", "stats").output


def test_a_held_session_stays_until_it_is_released(athanor: Athanor, old: None, home: Path) -> None:
    assert athanor("sessions", "hold", GRID).code == 2
    assert "inquiry 7" in athanor("sessions", "hold", GRID, "--reason", "inquiry 7").output
    held = athanor("retention", "run", "--yes", "--json").json
    assert (held["sessions"], held["held"]) == ([], 1)
    assert "1 sessions stay because they are held" in athanor("retention", "run", "--yes").output
    assert "inquiry 7" in athanor("sessions", "release", GRID, "--reason", "closed").output
    assert athanor("sessions", "release", GRID, "--reason", "closed").sentence == (
        f"Error: Session {GRID} is not held."
    )
    assert len(athanor("retention", "run", "--yes", "--json").json["sessions"]) == 1
    database = Database(f"sqlite:///{home / 'athanor.db'}")
    with database.reading() as session:
        holds = select(AuditEntry).where(col(AuditEntry.entity) == "session_hold")
        audited = session.scalars(holds.order_by(col(AuditEntry.seq))).all()
    database.close()
    assert [one.route for one in audited] == [
        "athanor sessions hold",
        *["athanor sessions release"] * 2,
    ]
    assert audited[0].after
    assert audited[0].after["reason"] == "inquiry 7"
    assert audited[0].after in [one.before for one in audited]
    assert {"released": "closed"} in [one.after for one in audited]


def test_nobody_deletes_without_saying_so(
    athanor: Athanor, old: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["n"])
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: next(answers))
    refused = athanor("retention", "run")
    assert refused.code == 1
    assert "Would go" in refused.output
    assert athanor("sessions", "list", "--json").json["items"] != []


def test_users_of_smartem_clean_up_as_they_know_it(
    athanor: Athanor,
    old: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["smartem.agent-cleanup", *arguments])
        with pytest.raises(SystemExit) as ended:
            smartem.agent_cleanup()
        said = capsys.readouterr()
        assert ended.value.code == 0, said.err
        return said.out

    counts = "{'sessions': 1, 'instructions': 2, 'connections': 1, 'acknowledgements': 1}"
    assert f"Record counts: {counts}" in command()
    ask = ("--operation", "instructions", "--policy", "development")
    dry = command(*ask, "--dry-run")
    assert "DRY RUN MODE" in dry
    assert f"Record counts: {counts}" in command("--operation", "stats")
    wet = command(*ask)
    assert "instruction: 1 (instructions without acknowledgement" in wet
    assert "2 rows would be removed or archived: {'instruction': 2}" in dry
    assert "2 rows were removed or archived: {'instruction': 2}" in wet
    assert "Session cleanup" in command("--operation", "sessions")
    assert "'sessions': 1, 'instructions': 1, 'connections': 0" in command()


def test_a_session_goes_into_a_file_and_comes_back(
    athanor: Athanor, old: None, tmp_path: Path
) -> None:
    file = tmp_path / "session.tar.zst"
    assert athanor("export", "trial", "-o", file).output.startswith(f"Wrote {file} (0.0 MB, ")
    again = athanor("export", GRID, "-o", tmp_path / "again", "--json").json
    same = athanor("import", file)
    assert (same.code, "is there already, unchanged" in same.output) == (0, True)
    athanor("retention", "run", "--yes")
    assert athanor("sessions", "list", "--json").json["items"] == []
    back = athanor("import", file, "--json").json
    assert (back["digest"], back["new"]["hole"]) == (again["digest"], 6)
    assert [one["holes"] for one in athanor("sessions", "list", "--json").json["items"]] == [6]

    file.write_bytes(file.read_bytes()[:-100])
    assert athanor("import", file).sentence.startswith(f"Error: {file} is refused.")
    assert athanor("export", "nobody", "-o", file).code == 1
    assert "cannot be written" in athanor("export", GRID, "-o", tmp_path / "no" / "a").sentence
