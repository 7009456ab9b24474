import json
from collections import Counter
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput, MessageRejected
from domains.cryoem import ids
from models.cryoem.messages import (
    EVENT_TYPES,
    HolePrediction,
    MultiHolePrediction,
    SquarePrediction,
    parse,
)
from simulators.messages.kinds import KINDS, make, value_of
from simulators.messages.scenarios import Scenario, batch, workflow
from simulators.messages.send import body_of
from simulators.messages.world import make_world

GRID = UUID("0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11")


def test_every_kind_that_producers_send_can_be_made():
    assert set(EVENT_TYPES) - set(KINDS) == {
        "epu.session",
        "epu.atlas",
        "epu.square",
        "epu.image",
        "epu.failure",
    }


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32), known=st.booleans())
def test_what_is_made_is_what_athanor_takes(kind: str, seed: int, known: bool):
    world = make_world(Random(seed), grid=GRID if known else None)
    body = json.loads(json.dumps(body_of(make(kind, world, Random(seed)))))
    message = parse(body)
    assert message.event_type == kind
    assert isinstance(message, KINDS[kind])
    assert message.message_id


def test_one_seed_makes_the_same_messages_and_another_others():
    world = make_world(Random(3))

    def made(kind: str, seed: int) -> list[str]:
        chosen = Random(seed)
        return [make(kind, world, chosen).model_dump_json() for _ in range(20)]

    assert made("ctf.completed", 1) == made("ctf.completed", 1)
    assert not set(made("ctf.completed", 1)) & set(made("ctf.completed", 2))


def test_messages_of_one_seed_have_ids_of_their_own_whatever_their_kind():
    world = make_world(Random(3))
    made = [make(kind, world, Random(1)).message_id for kind in KINDS]
    other = [make(kind, world, Random(1)).message_id for kind in KINDS]
    assert made == other
    assert len(set(made)) == len(KINDS)


def test_what_is_given_goes_before_what_is_made_up():
    world = make_world(Random(1))
    made = make(
        "foilhole.model_prediction",
        world,
        Random(1),
        {"grid_uuid": str(GRID), "foilhole_id": 7, "prediction_value": 0.25},
    )
    assert isinstance(made, HolePrediction)
    assert (made.target(), made.prediction_value) == (ids.hole_uuid(GRID, 7), 0.25)


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("foilhole.model_prediction", "foilhole_uuid"),
        ("gridsquare.model_prediction", "gridsquare_uuid"),
        ("ctf.completed", "micrograph_uuid"),
        ("gridsquare.registered", "uuid"),
    ],
)
def test_a_thing_named_by_uuid_is_named_by_nothing_else(kind: str, field: str):
    wanted = UUID(int=5)
    made = make(kind, make_world(Random(1)), Random(1), {field: str(wanted)})
    assert made.target() == wanted
    assert not {"gridsquare_id", "foilhole_id", "micrograph_id"} & set(body_of(made))


def test_a_value_out_of_range_is_refused_by_its_field():
    with pytest.raises(MessageRejected, match="prediction_value"):
        make("foilhole.model_prediction", make_world(Random(1)), Random(1), {"prediction_value": 2})


@pytest.mark.parametrize(
    ("kind", "field", "text", "value"),
    [
        ("foilhole.model_prediction", "prediction_value", "0.8", 0.8),
        ("foilhole.model_prediction", "prediction_model_name", "7", "7"),
        ("foilhole.model_prediction", "foilhole_id", "4601234", 4601234),
        ("foilhole.model_multi_prediction", "foilhole_ids", ["1", "2"], [1, 2]),
        ("particle_picking.completed", "number_of_particles_picked", "120", 120),
        ("particle_selection.completed", "selection_distribution", '{"a": 1}', {"a": 1}),
        ("ctf.registered", "quality", "true", True),
        ("grid.model_parameter_update", "value", "-3", -3.0),
    ],
)
def test_text_becomes_what_the_field_holds(kind: str, field: str, text: str, value: object):
    assert value_of(kind, field, text) == value


@pytest.mark.parametrize(
    ("kind", "field", "text"),
    [
        ("foilhole.model_prediction", "prediction_value", "high"),
        ("foilhole.model_prediction", "prediction_value", "NaN"),
        ("foilhole.model_prediction", "grid_uuid", "7"),
        ("foilhole.model_multi_prediction", "foilhole_ids", ["x"]),
    ],
)
def test_text_that_is_no_such_value_is_refused_by_its_field(kind: str, field: str, text: str):
    with pytest.raises(BadInput, match=f"^{field}: "):
        value_of(kind, field, text)


def test_a_workflow_tells_of_things_before_it_says_anything_about_them():
    world = make_world(Random(1), squares=(42,), hole_count=5)
    messages = list(workflow(world, Random(1), entities=True))
    kinds = [message.event_type for message in messages]
    assert kinds[:4] == [
        "acquisition.created",
        "grid.created",
        "gridsquare.created",
        "foilhole.created",
    ]
    assert kinds[-1] == "refresh.predictions"
    processing = [kind for kind in kinds if kind.endswith(".completed")]
    assert processing[:4] == [
        "motion_correction.completed",
        "ctf.completed",
        "particle_picking.completed",
        "particle_selection.completed",
    ]
    assert kinds.index("gridsquare.model_prediction") < kinds.index("foilhole.model_prediction")
    first = kinds.index("micrograph.created")
    assert kinds.index("foilhole.model_prediction") < first < kinds.index(processing[0])
    assert Counter(kinds)["foilhole.model_prediction"] == 5
    named = {m.gridsquare_id for m in messages if isinstance(m, SquarePrediction)}
    assert named == {42}


@pytest.mark.parametrize(
    ("scenario", "low", "high"), [("good", 0.7, 1), ("poor", 0, 0.3), ("mixed", 0, 1)]
)
def test_a_batch_is_as_good_as_its_scenario(scenario: str, low: float, high: float):
    world = make_world(Random(1), square_count=40, hole_count=6)
    messages = list(batch(world, Random(1), Scenario(scenario)))
    kinds = Counter(message.event_type for message in messages)
    assert kinds == {"gridsquare.model_prediction": 40, "foilhole.model_prediction": 240}
    squares = [m.prediction_value for m in messages if isinstance(m, SquarePrediction)]
    assert all(low <= value <= high for value in squares)
    if scenario == "mixed":
        assert min(squares) < 0.4 < 0.7 < max(squares)


def test_many_holes_are_different_holes_of_one_square():
    world = make_world(Random(1))
    made = make("foilhole.model_multi_prediction", world, Random(1))
    assert isinstance(made, MultiHolePrediction)
    assert len(set(made.foilhole_ids)) == len(made.foilhole_ids)
    assert any(set(made.foilhole_ids) <= set(holes) for holes in world.squares.values())
