"""A group's prediction is one for each hole that is in the group, whatever order things come in."""

import random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col

from models.cryoem.decision_tables import CurrentPrediction, Decision, Prediction
from models.cryoem.processing_tables import HoleGroup, HoleGroupMember, ModelParameter
from tests.integration.models.factories import hole_body
from tests.integration.tasks.message_rig import Plot, Rig

GROUP = uuid4()


def group(plot: Plot, *holes: int, uuid: UUID = GROUP, **values: Any) -> dict[str, Any]:
    return {
        "event_type": "foilhole.group_create",
        "grid_uuid": str(plot.grid),
        "group_uuid": str(uuid),
        "foilhole_ids": list(holes),
        **values,
    }


def predicted(value: float, uuid: UUID = GROUP, **values: Any) -> dict[str, Any]:
    return {
        "event_type": "foilhole.group_model_prediction",
        "group_uuid": str(uuid),
        "prediction_model_name": "model",
        "prediction_value": value,
        **values,
    }


def current(rig: Rig) -> dict[UUID, float]:
    return {row.target_uuid: row.value for row in rig.all(select(CurrentPrediction))}


def members(rig: Rig) -> set[UUID]:
    in_force = col(HoleGroup.message_seq) == col(HoleGroupMember.message_seq)
    return set(rig.all(select(col(HoleGroupMember.hole_uuid)).join(HoleGroup).where(in_force)))


async def test_prediction_for_a_group_is_one_for_each_of_its_holes(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files(), group(plot, 11, 12, 13, name="thin"), predicted(0.7))

    assert current(rig) == {plot.hole_uuid(hole): 0.7 for hole in (11, 12, 13)}
    assert len(rig.all(select(Prediction))) == 3
    assert [(one.area_uuid, sum(one.outcome.values())) for one in rig.all(select(Decision))] == [
        (plot.square_uuid(1), 3)
    ]
    (row,) = rig.all(select(HoleGroup))
    assert (row.name, row.grid_uuid) == ("thin", plot.grid)
    assert set(rig.states()) == {"done"}


async def test_the_latest_list_of_a_group_counts_from_then_on(rig: Rig) -> None:
    plot = Plot()
    await rig.tell_one_by_one(
        *plot.files(),
        group(plot, 11, 12),
        predicted(0.2),
        group(plot, 12, 13),
        predicted(0.9),
        predicted(0.4, metric="numparticles"),
    )

    assert members(rig) == {plot.hole_uuid(12), plot.hole_uuid(13)}
    rows = rig.all(select(CurrentPrediction).where(col(CurrentPrediction.metric_name) == ""))
    assert {row.target_uuid: row.value for row in rows} == {
        plot.hole_uuid(11): 0.2,
        plot.hole_uuid(12): 0.9,
        plot.hole_uuid(13): 0.9,
    }


async def test_one_batch_does_the_same_as_many(rig: Rig) -> None:
    plot, other = Plot(), uuid4()
    await rig.tell(
        *plot.files(),
        group(plot, 11, 12),
        predicted(0.2),
        group(plot, 21, uuid=other),
        group(plot, 12, 13),
        predicted(0.9),
        predicted(0.3, other),
    )

    values = {11: 0.2, 12: 0.9, 13: 0.9, 21: 0.3}
    assert current(rig) == {plot.hole_uuid(hole): value for hole, value in values.items()}


async def test_prediction_waits_for_its_group_and_the_group_for_its_holes(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(predicted(0.6))
    assert [row.error for row in rig.messages()] == [f"waits for group {GROUP}"]
    await rig.tell(plot.session(), plot.square(1))
    await rig.tell(group(plot, 11, 21))
    waiting = [row for row in rig.messages() if row.state == "waiting"]
    assert {row.waiting_for for row in waiting} == {str(GROUP), str(plot.hole_uuid(21))}

    await rig.tell(plot.square(2))

    assert set(rig.states()) == {"done"}
    assert current(rig) == {plot.hole_uuid(hole): 0.6 for hole in (11, 21)}


async def test_older_list_that_waited_changes_nothing(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(plot.session(), plot.square(1))
    await rig.tell(group(plot, 11, 21))
    await rig.tell(group(plot, 12))

    await rig.tell(plot.square(2))

    assert set(rig.states()) == {"done"}
    assert members(rig) == {plot.hole_uuid(12)}


async def test_prediction_that_waited_is_for_the_holes_of_its_time(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(predicted(0.1), *plot.files())
    await rig.take(group(plot, 11))
    await rig.tell(group(plot, 12), predicted(0.2))

    assert current(rig) == {plot.hole_uuid(11): 0.1, plot.hole_uuid(12): 0.2}


@pytest.mark.parametrize("repeats", [1, 2])
async def test_what_is_sent_twice_counts_once(rig: Rig, repeats: int) -> None:
    plot = Plot()
    sent = [
        group(plot, 11, message_id="a"),
        predicted(0.2, message_id="b"),
        hole_body(plot.hole_uuid(11), 0.5, message_id="c"),
    ]
    await rig.tell(*plot.files())
    for _ in range(repeats):
        await rig.tell(*sent)

    assert current(rig) == {plot.hole_uuid(11): 0.5}
    assert len(rig.all(select(Prediction))) == 2


async def test_group_of_two_grids_is_a_dead_letter_that_says_why(rig: Rig) -> None:
    one, other = Plot(), Plot()
    await rig.tell(*one.files(), *other.files(), group(one, 11), predicted(0.3))
    foreign = group(one, uuid=uuid4(), foilhole_uuids=[str(other.hole_uuid(11))])
    await rig.tell(foreign, group(other, 11))

    dead = [row.error for row in rig.messages() if row.state == "dead"]
    assert len(dead) == 2
    assert f"hole {other.hole_uuid(11)} is on grid {other.grid}" in str(dead[0])
    assert f"is a group of grid {one.grid} already" in str(dead[1])
    assert current(rig) == {one.hole_uuid(11): 0.3}


# Parameters ---------------------------------------------------------------------------------


def parameter(plot: Plot, key: str, value: float, **values: Any) -> dict[str, Any]:
    return {
        "event_type": "grid.model_parameter_update",
        "grid_uuid": str(plot.grid),
        "prediction_model_name": "latent",
        "key": key,
        "value": value,
        **values,
    }


async def test_the_latest_value_of_each_parameter_counts(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(
        parameter(plot, "x", 1),
        parameter(plot, "x", -2.5),
        parameter(plot, "x", 3, group="coordinates:a"),
        parameter(plot, "x", 4, metric="numparticles"),
    )
    await rig.tell(parameter(plot, "x", 9, group="coordinates:a"))

    rows = rig.all(select(ModelParameter))
    assert {(row.parameter_group, row.metric_name): row.value for row in rows} == {
        ("", ""): -2.5,
        ("coordinates:a", ""): 9.0,
        ("", "numparticles"): 4.0,
    }


async def test_parameters_of_an_unknown_grid_wait_and_their_order_is_kept(rig: Rig) -> None:
    plot = Plot()
    sent = [parameter(plot, key, value) for value in range(3) for key in "abc"]
    random.Random(7).shuffle(sent)
    await rig.tell(*sent)
    assert set(rig.states()) == {"waiting"}

    await rig.tell(plot.session())

    last = {one["key"]: one["value"] for one in sent}
    assert {row.key: row.value for row in rig.all(select(ModelParameter))} == last
