"""`athanor config show`: every setting, what it means, where it comes from; no secrets."""

import pytest

from tests.acceptance.cli.conftest import Athanor


def test_each_setting_tells_where_it_comes_from(
    athanor: Athanor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHANOR_API__PORT", "9000")
    monkeypatch.setenv("ATHANOR_WORKER", '{"max_runs": 7}')
    monkeypatch.setenv("athanor_log_level", "DEBUG")
    told = {one["name"]: one for one in athanor("config", "show", "--json").json["settings"]}
    assert all(one["description"] for one in told.values())
    for name, value, source in (
        ("ATHANOR_API__PORT", 9000, "environment"),
        ("ATHANOR_WORKER__MAX_RUNS", 7, "environment"),
        ("ATHANOR_LOG_LEVEL", "DEBUG", "environment"),
        ("ATHANOR_WORKER__POOL", "athanor", "default"),
        ("ATHANOR_API__HOST", "127.0.0.1", "default"),
    ):
        assert (told[name]["value"], told[name]["source"]) == (value, source), name


def test_secrets_and_passwords_are_hidden(
    athanor: Athanor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHANOR_ATHENA__TOKEN", "s3cret-token")
    monkeypatch.setenv("ATHANOR_DATABASE_URL", "postgresql://me:s3cret-word@db:5432/athanor")
    for arguments in (["--json"], []):
        shown = athanor("config", "show", *arguments).output
        assert "s3cret" not in shown
        assert "postgresql://me:********@db:5432/athanor" in shown


def test_a_wrong_setting_is_named_by_its_variable(
    athanor: Athanor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATHANOR_API__PORT", "99999")
    ended = athanor("status")
    assert ended.code == 1
    assert ended.sentence.startswith("Error: ATHANOR_API__PORT: ")
    assert "99999" in ended.sentence
