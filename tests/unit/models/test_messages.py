"""What comes in is checked at the door, and what is wrong with it is named."""

import json
import math
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MessageRejected
from domains.cryoem import ids
from models.cryoem.messages import (
    EpuSessionMessage,
    EpuSquareMessage,
    HolePrediction,
    MultiHolePrediction,
    SquarePrediction,
    parse,
    parse_json,
)

HOLE = str(uuid4())
KINDS = ["gridsquare.model_prediction", "foilhole.model_prediction"]
MULTI = "foilhole.model_multi_prediction"


def body(kind: str = KINDS[1], **values: Any) -> dict[str, Any]:
    """Return a prediction in which nothing is wrong but what `values` brings."""
    target: dict[str, Any] = {
        KINDS[0]: {"gridsquare_uuid": HOLE},
        KINDS[1]: {"foilhole_uuid": HOLE},
        MULTI: {"foilhole_uuids": [HOLE]},
    }[kind]
    common = {"event_type": kind, "prediction_model_name": "model", "prediction_value": 0.5}
    return {**common, **target, **values}


def rejected(message: object) -> tuple[str, ...]:
    with pytest.raises(MessageRejected) as raised:
        parse(message)
    assert raised.value.fields
    assert all(field in str(raised.value) for field in raised.value.fields)
    return raised.value.fields


outside = (
    st.floats(max_value=0, exclude_max=True).filter(lambda value: value < 0)
    | st.floats(min_value=1, exclude_min=True)
    | st.sampled_from([math.nan, -math.nan, math.inf, -math.inf, 2, -1])
)


@given(kind=st.sampled_from([*KINDS, MULTI]), value=outside)
def test_value_outside_0_to_1_is_rejected_by_name(kind: str, value: float) -> None:
    assert rejected(body(kind, prediction_value=value)) == ("prediction_value",)


@given(kind=st.sampled_from([*KINDS, MULTI]), value=st.floats(0, 1) | st.sampled_from([0, 1]))
def test_value_from_0_to_1_is_taken_as_it_is(kind: str, value: float) -> None:
    message = parse(body(kind, prediction_value=value))

    assert message.prediction_value == value  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "1.0000001"])
def test_value_that_json_should_not_have_is_rejected_by_name(text: str) -> None:
    written = json.dumps(body(prediction_value=0)).replace(": 0}", f": {text}}}")
    written = written.replace('"prediction_value": 0,', f'"prediction_value": {text},')

    with pytest.raises(MessageRejected) as raised:
        parse_json(written)

    assert raised.value.fields == ("prediction_value",)


@pytest.mark.parametrize("value", ["0.5", True, None, [0.5], {}])
def test_value_that_is_no_number_is_rejected_by_name(value: object) -> None:
    assert rejected(body(prediction_value=value)) == ("prediction_value",)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"foilhole_uuid": "no uuid"}, ("foilhole_uuid",)),
        ({"foilhole_uuid": None}, ("message",)),
        ({"prediction_model_name": ""}, ("prediction_model_name",)),
        ({"prediction_model_name": "x" * 201}, ("prediction_model_name",)),
        # PostgreSQL's text holds no NUL.
        ({"prediction_model_name": "a\x00b"}, ("prediction_model_name",)),
        ({"metric": "a\x00b"}, ("metric",)),
        ({"message_id": "a\x00b"}, ("message_id",)),
        ({"prediction_model_name": "\ud800"}, ("prediction_model_name",)),
        ({"message_id": ""}, ("message_id",)),
        ({"metric": 7}, ("metric",)),
        ({"event_type": "foilhole.dance"}, ("event_type",)),
        ({"event_type": None}, ("event_type",)),
        (
            {"prediction_value": 7, "prediction_model_name": None},
            ("prediction_model_name", "prediction_value"),
        ),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], fields: tuple[str, ...]) -> None:
    assert sorted(rejected(body(**changes))) == sorted(fields)


@pytest.mark.parametrize("message", [None, 7, "text", [], [1], {}])
def test_what_is_no_message_is_rejected(message: object) -> None:
    assert rejected(message) == ("event_type",)


def test_missing_field_is_named() -> None:
    message = body()
    del message["prediction_value"]

    assert rejected(message) == ("prediction_value",)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"not json"])
def test_text_that_is_no_json_is_rejected(text: bytes) -> None:
    with pytest.raises(MessageRejected):
        parse_json(text)


def test_unknown_fields_are_ignored() -> None:
    assert isinstance(parse(body(colour="blue", nested={"a": "\x00"})), HolePrediction)


def test_target_is_named_by_uuid_or_by_grid_and_epu_id() -> None:
    grid = uuid4()
    square = parse(body(KINDS[0], gridsquare_uuid=None, grid_uuid=str(grid), gridsquare_id=7))
    hole = parse(body(foilhole_uuid=None, grid_uuid=str(grid), foilhole_id=7))

    assert isinstance(square, SquarePrediction)
    assert square.target() == ids.square_uuid(grid, 7)
    assert isinstance(hole, HolePrediction)
    assert hole.target() == ids.hole_uuid(grid, 7)
    assert rejected(body(foilhole_uuid=None, foilhole_id=7)) == ("message",)


def test_many_holes_are_each_named_once() -> None:
    grid = uuid4()
    first = ids.hole_uuid(grid, 1)
    message = parse(
        body(
            MULTI,
            foilhole_uuids=[str(first), HOLE, HOLE],
            grid_uuid=str(grid),
            foilhole_ids=[2, 1],
        )
    )

    assert isinstance(message, MultiHolePrediction)
    assert [str(target) for target in message.targets()] == [
        str(first),
        HOLE,
        str(ids.hole_uuid(grid, 2)),
    ]
    assert rejected(body(MULTI, foilhole_uuids=[])) == ("message",)
    assert rejected(body(MULTI, foilhole_uuids=[], grid_uuid=str(grid))) == ("message",)


def _epu(kind: str, manifest: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {
        "event_type": kind,
        "grid_uuid": HOLE,
        "path": "/epu/file",
        "observed_at": "2026-01-01T00:00:00Z",
        "manifest": manifest,
        **values,
    }


def test_naive_time_is_rejected_by_name() -> None:
    manifest = {"epu_id": "e", "name": "n", "started_at": "2026-01-01T00:00:00"}

    assert rejected(_epu("epu.session", manifest)) == ("manifest.started_at",)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_time_that_utc_does_not_have_is_rejected_by_name(moment: str) -> None:
    assert rejected(_epu("epu.square", {"square_id": 1}, observed_at=moment)) == ("observed_at",)


def test_nul_in_a_manifest_is_rejected_by_name() -> None:
    assert rejected(_epu("epu.square", {"square_id": 1, "state": "a\x00"})) == ("manifest.state",)
    assert rejected(_epu("epu.square", {"square_id": 1}, path="a\x00")) == ("path",)


@pytest.mark.parametrize("ident", [2**63, -(2**63) - 1])
def test_id_beyond_64_bits_is_rejected_by_name(ident: int) -> None:
    assert rejected(_epu("epu.square", {"square_id": ident})) == ("manifest.square_id",)
    manifest = {"square_id": 1, "holes": [{"hole_id": ident}]}
    assert rejected(_epu("epu.square", manifest)) == ("manifest.holes.0.hole_id",)


def test_epu_message_survives_being_stored() -> None:
    manifest = {"square_id": 1, "holes": [{"hole_id": 2, "pixel_center": {"x": 0.1, "y": 1e-300}}]}
    message = parse(_epu("epu.square", manifest))
    assert isinstance(message, EpuSquareMessage)

    assert parse(message.model_dump(mode="json", exclude_none=True)) == message


def test_times_are_kept_in_utc() -> None:
    manifest = {"epu_id": "e", "name": "n", "started_at": "2026-01-01T02:00:00+02:00"}
    message = parse(_epu("epu.session", manifest))

    assert isinstance(message, EpuSessionMessage)
    assert message.manifest.started_at is not None
    assert message.manifest.started_at.isoformat() == "2026-01-01T00:00:00+00:00"
