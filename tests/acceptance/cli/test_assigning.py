"""`athanor sessions assign`: a session becomes an organisation's."""

from tests.acceptance.cli.conftest import GRID, Athanor


def test_a_session_is_given_by_its_grid_or_its_name_and_a_dry_run_gives_nothing(
    athanor: Athanor,
) -> None:
    ask = ("sessions", "assign", GRID, "--organisation", "nt1")
    would = athanor(*ask, "--dry-run", "--json").json
    assert (would["before"], would["dry_run"], would["grids"]) == ([], True, [str(GRID)])
    assert "would be given to nt1. It belonged to: nobody." in athanor(*ask, "--dry-run").output
    assert athanor("audit", "list", "--json").json["items"] == []

    given = athanor(*ask)
    assert "is given to nt1. It belonged to: nobody." in given.output
    assert "Nobody here belongs to nt1" in given.errors
    assert athanor("keys", "add", "agent", "--organisation", "nt2").code == 0
    again = athanor("sessions", "assign", "trial", "--organisation", "nt2", "--json")
    assert (again.json["before"], again.errors) == (["nt1"], "")
    entries = athanor("audit", "list", "--entity", "session_owner", "--json").json["items"]
    assert [(one["before"]["organisation"], one["entity_id"]) for one in entries] == [
        ("nt1", str(GRID)),
        (None, str(GRID)),
    ]


def test_what_cannot_be_given_is_said(athanor: Athanor) -> None:
    assert athanor("sessions", "assign", "trial").code == 2
    missing = athanor("sessions", "assign", "nothing", "--organisation", "nt1")
    assert "There is no session nothing." in missing.sentence
    nameless = athanor("sessions", "assign", "trial", "--organisation", " ")
    assert "An organisation has a name" in nameless.sentence
