"""`athanor audit list`: who changed what."""

from tests.acceptance.cli.conftest import GRID, Athanor


def test_what_was_changed_is_told_with_who_did_it(athanor: Athanor) -> None:
    assert "Nothing was changed" in athanor("audit", "list").output
    assert athanor("sessions", "hold", GRID, "--reason", "inquiry 7").code == 0

    (entry,) = athanor("audit", "list", "--json").json["items"]
    assert entry["entity_id"] == str(GRID)
    assert entry["after"]["reason"] == "inquiry 7"
    assert "inquiry" in athanor("audit", "list", "--id", GRID).output
    assert athanor("audit", "list", "--since", "2199-01-01", "--json").json["items"] == []
    assert athanor("audit", "list", "--refused", "--json").json["items"] == []
