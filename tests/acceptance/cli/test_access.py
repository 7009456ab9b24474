"""`athanor users …`, `athanor keys …` and `athanor clients …`."""

import io
from pathlib import Path

import pytest

from core.clock import utcnow
from models.access import machines, users
from models.access.secrets import is_password
from models.database import Database
from tests.acceptance.cli.conftest import Athanor


def test_users_are_made_changed_and_shut_out(
    athanor: Athanor, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    made = athanor("users", "add", "Ada", "--role", "engineer", "--stdin", "--organisation", "nt1")
    assert (made.code, made.output) == (0, "")
    generated = athanor("users", "add", "bob", "--generate", "--all-organisations").output.strip()
    assert athanor("users", "role", "bob", "admin").code == 0
    assert athanor("users", "disable", "bob").code == 0

    ada, bob = athanor("users", "list", "--json").json["items"]
    assert (ada["name"], ada["role"], ada["organisations"]) == ("ada", "engineer", ["nt1"])
    assert (bob["role"], bob["disabled_at"] is None) == ("admin", False)
    assert "shut out" in athanor("users", "list").output
    assert "password" not in str(ada)

    database = Database(f"sqlite:///{home / 'athanor.db'}")
    with database.reading() as session:
        assert is_password("correct horse battery", users.get_user(session, "ada").password_hash)
        assert is_password(generated, users.get_user(session, "bob").password_hash)
    database.close()


def test_who_is_to_see_all_is_said_where_sessions_belong_to_organisations(
    athanor: Athanor,
) -> None:
    people = (("users", "add", "ada", "--generate"), ("keys", "add", "k"), ("clients", "add", "c"))
    # Nothing belongs to anybody: there is nothing to be said.
    assert athanor("users", "add", "first", "--generate").code == 0
    assert athanor("keys", "add", "agent", "--organisation", "nt1").code == 0

    for command in people:
        refused = athanor(*command)
        assert refused.code == 1
        assert "--organisation NAME (again for more) or --all-organisations" in refused.sentence
        assert athanor(*command, "--organisation", "nt1", "--all-organisations").code == 2
    assert athanor("users", "organisations", "first").code == 1

    for command in people:
        assert athanor(*command, "--all-organisations").code == 0
    assert athanor("users", "add", "root", "--role", "admin", "--generate").code == 0
    assert "sees sessions of: all" in athanor("users", "role", "root", "viewer").errors
    assert athanor("users", "organisations", "ada", "nt1").code == 0
    seen = {
        one["name"]: one["organisations"]
        for one in athanor("users", "list", "--json").json["items"]
    }
    assert seen == {"first": None, "ada": ["nt1"], "root": None}


def test_a_key_is_printed_once_and_revoked_by_how_it_begins(athanor: Athanor, home: Path) -> None:
    key = athanor("keys", "add", "krios", "--scope", "messages.write", "--days", "3").output.strip()
    database = Database(f"sqlite:///{home / 'athanor.db'}")
    with database.reading() as session:
        assert machines.active_key(session, key, now=utcnow()) is not None

    (listed,) = athanor("keys", "list", "--json").json["items"]
    assert (listed["name"], listed["scopes"]) == ("krios", ["messages.write"])
    assert key not in athanor("keys", "list").output
    assert athanor("keys", "revoke", listed["prefix"]).code == 0

    with database.reading() as session:
        assert machines.active_key(session, key, now=utcnow()) is None
    database.close()
    assert "revoked" in athanor("keys", "list").output


def test_a_client_gets_a_secret_and_is_shut_out(athanor: Athanor) -> None:
    assert athanor("clients", "add", "murfey").output.startswith("aths_")
    assert athanor("clients", "disable", "murfey").code == 0
    (listed,) = athanor("clients", "list", "--json").json["items"]
    assert (listed["name"], listed["disabled_at"] is None) == ("murfey", False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("users", "role", "nobody", "admin"), "There is no user nobody."),
        (("users", "add", "a b", "--generate"), "'a b' is no name"),
        (("keys", "add", "x", "--scope", "nope"), "There is no permission nope."),
        (("keys", "revoke", "athk_none"), "There is no key athk_none."),
        (("clients", "disable", "nobody"), "There is no client nobody."),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_what_cannot_be_is_said_in_a_sentence(
    athanor: Athanor, arguments: tuple[str, ...], said: str
) -> None:
    ended = athanor(*arguments)
    assert (ended.code, ended.output) == (1, "")
    assert said in ended.sentence


@pytest.mark.parametrize("command", ["up", "api"])
def test_nothing_listens_beyond_this_machine_for_everybody(
    athanor: Athanor, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("ATHANOR_API__HOST", "0.0.0.0")
    monkeypatch.setenv("ATHANOR_ACCESS__MODE", "open")
    ended = athanor(command)
    assert ended.code == 1
    assert "ATHANOR_ACCESS__MODE=required" in ended.sentence
