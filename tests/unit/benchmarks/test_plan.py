"""What the chaos run sends: the same from the same seed, and as the contract has it."""

import json
from collections import Counter

import pytest

from benchmarks.chaos.faults import TURN, schedule
from benchmarks.chaos.plan import Plan, make_plan
from core.errors import MessageRejected
from models.cryoem.messages import parse, parse_json


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(7, messages=2_000, grids=2, squares=4, holes=10)


def test_a_seed_makes_the_same_plan_again(plan: Plan) -> None:
    assert make_plan(7, messages=2_000, grids=2, squares=4, holes=10) == plan
    assert make_plan(8, messages=2_000, grids=2, squares=4, holes=10) != plan


def test_a_twentieth_is_published_twice_and_a_hundredth_is_malformed(plan: Plan) -> None:
    times = Counter(message.message_id for message in plan.stream)

    assert len(plan.stream) == 2_000
    assert Counter(times.values()) == {1: 1_800, 2: 100}
    assert set(times) == {message.message_id for message in plan.messages}
    faults = Counter(message.fault for message in plan.messages if message.fault)
    assert sum(faults.values()) == 20
    assert set(faults) == {"not JSON", "unknown type", "NaN", "out of range", "missing field"}


def test_good_messages_are_valid_and_malformed_ones_are_not(plan: Plan) -> None:
    for message in plan.messages:
        if message.fault is None:
            parse_json(message.content)
        else:
            with pytest.raises(MessageRejected):
                parse_json(message.content)


def test_what_the_agent_says_is_valid_and_comes_late(plan: Plan) -> None:
    moments = [moment for moment, _ in plan.entities]

    for _, body in plan.entities:
        parse(body)
    assert moments == sorted(moments)
    assert moments[-1] > len(plan.stream) / 2


def test_all_types_that_producers_send_are_there(plan: Plan) -> None:
    kinds = {json.loads(m.content)["event_type"] for m in plan.messages if m.fault is None}

    assert kinds >= {
        "gridsquare.model_prediction",
        "foilhole.model_prediction",
        "foilhole.model_multi_prediction",
        "foilhole.group_create",
        "foilhole.group_model_prediction",
        "grid.model_parameter_update",
        "motion_correction.completed",
        "ctf.completed",
        "particle_picking.completed",
        "particle_selection.completed",
        "refresh.predictions",
        "grid.registered",
        "foilhole.created",
    }


def test_faults_come_in_turn_within_the_time_given() -> None:
    faults = list(schedule(7, seconds=100, number=2 * len(TURN)))

    assert [fault.what for fault in faults] == [*TURN, *TURN]
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert 0 < faults[0].at < faults[-1].at < 100
    assert faults == list(schedule(7, seconds=100, number=2 * len(TURN)))
