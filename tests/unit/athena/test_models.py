"""The schemas keep what they are given and refuse what no service could."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.athena import Area, AreaType, DecisionRecord, DecisionType, PluginType, Session

INT32 = st.integers(-(2**31), 2**31 - 1)
AWARE = st.datetimes(
    min_value=datetime(2, 1, 1),  # noqa: DTZ001 (hypothesis adds the zone)
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001 (likewise)
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m))),
)

DECISIONS = st.fixed_dictionaries(
    {
        "session_id": st.uuids(),
        "id": st.none() | st.uuids(),
        "area_id": INT32,
        "decision_type": st.sampled_from(DecisionType),
        "plugin_type": st.sampled_from(PluginType),
        "decision_value": st.none() | st.text(),
        "details": st.none() | st.text(),
        "timestamp": st.none() | AWARE,
    }
).map(lambda values: DecisionRecord(**values))


@given(DECISIONS)
def test_a_decision_survives_the_wire(decision: DecisionRecord) -> None:
    sent = decision.model_dump_json(by_alias=True, exclude_none=True)

    assert DecisionRecord.model_validate_json(sent, strict=True) == decision
    assert None not in json.loads(sent).values()


@given(AWARE)
def test_times_are_kept_in_utc(moment: datetime) -> None:
    kept = Session(session_name="Grid_7", timestamp=moment).timestamp

    assert kept == moment
    assert kept is not None
    assert kept.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001 (naive on purpose)
        # No UTC datetime holds it.
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
    ],
)
def test_a_time_that_is_no_instant_is_refused(moment: datetime) -> None:
    with pytest.raises(ValidationError, match="timestamp"):
        Session(session_name="Grid_7", timestamp=moment)


@pytest.mark.parametrize("ident", [2**31, -(2**31) - 1])
def test_an_area_id_beyond_int32_is_refused(ident: int) -> None:
    with pytest.raises(ValidationError, match="id"):
        Area(session_id="3fa85f64-5717-4562-b3fc-2c963f66afa6", id=ident, area_type=AreaType.ATLAS)


def test_records_are_facts() -> None:
    session = Session(session_name="Grid_7", timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(ValidationError, match="frozen"):
        session.session_name = "Grid_8"  # type: ignore[misc]


def test_a_property_that_is_not_of_the_contract_is_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        Session.model_validate({"sessionName": "Grid_7", "colour": "blue"})
