"""`athanor status`, `sessions`, `decisions`, `messages`: for people, and for programs."""

from pathlib import Path
from uuid import uuid4

import pytest

from models import migrations
from models.database import Database
from tests.acceptance.cli.conftest import GRID, Athanor


def test_status_tells_queues_latency_and_what_needs_a_person(athanor: Athanor) -> None:
    told = athanor("status", "--json").json
    assert told["inbox"]["by_state"] == {"done": 12, "dead": 2, "waiting": 1}
    assert told["outbox"]["by_state"] == {"done": 4}
    assert told["latency"]["decisions"] == 4
    shown = athanor("status").output
    assert "2 messages need you: athanor messages list --state dead" in shown


def test_sessions_are_listed_and_shown(athanor: Athanor) -> None:
    (one,) = athanor("sessions", "list", "--json").json["items"]
    assert (one["grid_uuid"], one["holes"], one["decisions_sent"]) == (str(GRID), 6, 4)
    assert str(GRID) in athanor("sessions", "list").output
    shown = athanor("sessions", "show", GRID)
    assert shown.code == 0
    assert "gridSquareSelection" in shown.output
    assert athanor("sessions", "show", GRID, "--json").json["areas_registered"]["foilhole"] == 6


def test_decisions_are_listed_page_by_page(athanor: Athanor) -> None:
    first = athanor("decisions", "list", "--json", "--limit", 3).json
    rest = athanor("decisions", "list", "--json", "--cursor", first["next_cursor"]).json
    ids = [one["id"] for one in first["items"] + rest["items"]]
    assert len(set(ids)) == len(ids) == 4
    assert f"--cursor {first['next_cursor']}" in athanor("decisions", "list", "--limit", 3).output


def test_decisions_are_filtered(athanor: Athanor) -> None:
    found = athanor("decisions", "list", "--type", "foilHoleSelection", "--state", "sent", "--json")
    assert [one["value"] for one in found.json["items"]] == ["1 of 3 holes"] * 2
    assert "No such decisions." in athanor("decisions", "list", "--state", "dead").output
    assert athanor("decisions", "list", "--grid", uuid4(), "--json").json["items"] == []


def test_a_decision_is_traced_to_its_messages(athanor: Athanor) -> None:
    (first, *_) = athanor("decisions", "list", "--type", "foilHoleSelection", "--json").json[
        "items"
    ]
    trail = athanor("decisions", "show", first["id"], "--json").json
    shown = athanor("decisions", "show", first["id"]).output
    assert trail["athena"]["area_id"] == first["square_id"]
    for prediction in trail["predictions"]:
        assert prediction["message"] in shown
    assert "It rests on 3 predictions" in shown


def test_messages_are_listed_by_state_with_their_reason(athanor: Athanor) -> None:
    dead = athanor("messages", "list", "--state", "dead", "--json").json["items"]
    assert len(dead) == 2
    shown = athanor("messages", "list", "--state", "dead").output
    assert "prediction_value: Input" in shown
    (waiting,) = athanor("messages", "list", "--state", "waiting", "--json").json["items"]
    assert "waits for hole 00000000-0000-0000-0000-000000000001" in waiting["error"]


def test_a_message_shows_its_content(athanor: Athanor) -> None:
    (message, *_) = athanor("messages", "list", "--state", "done", "--json").json["items"]
    shown = athanor("messages", "show", message["id"]).output
    assert "prediction_model_name" in shown
    assert athanor("messages", "show", message["id"], "--json").json["predictions"] == 1


@pytest.mark.parametrize("group", ["messages", "sessions", "decisions"])
def test_what_is_not_there_is_one_sentence(athanor: Athanor, group: str) -> None:
    ended = athanor(group, "show", uuid4())
    assert ended.code == 1
    assert ended.sentence.startswith("Error: There is no ")


def test_a_wrong_cursor_is_one_sentence(athanor: Athanor) -> None:
    assert "cursor" in athanor("messages", "list", "--cursor", "x").sentence


def test_without_a_database_it_says_what_to_do_and_makes_none(athanor: Athanor, home: Path) -> None:
    (home / "athanor.db").unlink()
    for command in (["status"], ["messages", "list"], ["sessions", "list"]):
        ended = athanor(*command)
        assert (ended.code, "`athanor init`" in ended.sentence) == (1, True)
    assert not (home / "athanor.db").exists()


def test_an_older_schema_is_sent_to_init(athanor: Athanor, home: Path) -> None:
    database = Database(f"sqlite:///{home / 'athanor.db'}")
    migrations.downgrade(database)
    database.close()
    ended = athanor("status")
    assert (ended.code, "Run `athanor init`" in ended.sentence) == (1, True)


def test_a_file_that_is_no_database_is_one_sentence(athanor: Athanor, home: Path) -> None:
    (home / "athanor.db").write_text("not a database at all, but long enough to be looked at" * 9)
    ended = athanor("status")
    assert (ended.code, "something else" in ended.sentence) == (1, True)
