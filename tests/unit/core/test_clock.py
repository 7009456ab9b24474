"""Time is aware and UTC."""

from datetime import UTC, datetime, timedelta, timezone

from core.clock import as_utc, utcnow


def test_now_is_aware_and_utc() -> None:
    before = datetime.now(UTC)

    assert before <= utcnow() <= datetime.now(UTC)
    assert utcnow().tzinfo is UTC


def test_same_instant_is_given_in_utc() -> None:
    local = datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))

    assert as_utc(local) == local
    assert as_utc(local).isoformat() == "2026-01-01T00:00:00+00:00"


def test_naive_time_is_read_as_utc() -> None:
    assert as_utc(datetime(2026, 1, 1)) == datetime(2026, 1, 1, tzinfo=UTC)  # noqa: DTZ001
