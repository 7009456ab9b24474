"""Settings come from the environment, checked, and hide what is secret."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from core.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ATHANOR_"):
            monkeypatch.delenv(name)


def test_defaults_need_no_environment() -> None:
    settings = Settings()

    assert settings.api.port == 8377
    assert settings.decisions.threshold == 0.5
    assert settings.home.name == "athanor"


def test_nested_setting_is_named_with_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHANOR_ATHENA__URL", "https://athena:8443")
    monkeypatch.setenv("ATHANOR_ATHENA__VERIFY_TLS", "false")
    monkeypatch.setenv("ATHANOR_DECISIONS__THRESHOLD", "0.25")
    monkeypatch.setenv("ATHANOR_LOG_JSON", "1")

    settings = Settings()

    assert (settings.athena.url, settings.athena.verify_tls) == ("https://athena:8443", False)
    assert settings.decisions.threshold == 0.25
    assert settings.log_json
    # What is not named keeps its default.
    assert settings.athena.bulk_size == 1_000


def test_database_is_a_file_at_home_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ATHANOR_HOME", "/data/athanor")
    assert Settings().resolved_database_url == "sqlite:////data/athanor/athanor.db"
    assert Settings().home == Path("/data/athanor")

    monkeypatch.setenv("ATHANOR_DATABASE_URL", "postgresql://db/athanor")
    assert Settings().resolved_database_url == "postgresql://db/athanor"


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("ATHANOR_API__PORT", "70000", "api.port"),
        ("ATHANOR_API__PROT", "8000", "api.prot"),
        ("ATHANOR_DECISIONS__THRESHOLD", "1.5", "decisions.threshold"),
        ("ATHANOR_ATHENA__BULK_SIZE", "1001", "athena.bulk_size"),
        ("ATHANOR_WORKER__LEASE_SECONDS", "0", "worker.lease_seconds"),
    ],
)
def test_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=field):
        Settings()


def test_token_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATHANOR_ATHENA__TOKEN", "hunter2")
    settings = Settings()

    assert settings.athena.token is not None
    assert settings.athena.token.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValidationError):
        Settings().log_level = "DEBUG"  # type: ignore[misc]
