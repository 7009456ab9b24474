"""What is measured on a micrograph is kept with where it came from, and the latest is current."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from models.cryoem.processing_tables import CurrentMeasurement, Measurement
from models.cryoem.queries import entities
from tests.integration.tasks.message_rig import Plot, Rig


def motion(plot: Plot, hole: int, total: float, **values: Any) -> dict[str, Any]:
    return {
        "event_type": "motion_correction.completed",
        "micrograph_uuid": str(plot.micrograph_uuid(hole)),
        "total_motion": total,
        "average_motion": total / 10,
        **values,
    }


def picked(plot: Plot, hole: int, number: int) -> dict[str, Any]:
    return {
        "event_type": "particle_picking.completed",
        "grid_uuid": str(plot.grid),
        "micrograph_id": f"FoilHole_{hole}",
        "foilhole_id": hole,
        "number_of_particles_picked": number,
    }


def current(rig: Rig) -> dict[tuple[UUID, str], float]:
    rows = rig.all(select(CurrentMeasurement))
    return {(row.micrograph_uuid, row.name): row.value for row in rows}


async def test_each_value_is_stored_with_its_metric(rig: Rig) -> None:
    plot = Plot()
    selected = {
        "event_type": "particle_selection.completed",
        "micrograph_uuid": str(plot.micrograph_uuid(11)),
        "number_of_particles_selected": 5,
        "number_of_particles_rejected": 2,
        "selection_distribution": {"class": [1, 2.5], "deep": {"a": None}},
    }
    resolution = {
        "event_type": "ctf.completed",
        "micrograph_uuid": str(plot.micrograph_uuid(11)),
        "ctf_max_resolution_estimate": 3.5,
    }
    await rig.tell(*plot.files(), plot.image(11), motion(plot, 11, 7.5), resolution)
    (message, _) = await rig.tell(picked(plot, 11, 40), selected)

    rows = rig.all(select(Measurement).order_by(Measurement.message_seq, Measurement.name))  # type: ignore[arg-type]
    assert [(row.name, row.metric_name, row.value) for row in rows] == [
        ("average_motion", None, 0.75),
        ("total_motion", "motioncorrection", 7.5),
        ("ctf_max_resolution_estimate", "ctfmaxresolution", 3.5),
        ("number_of_particles_picked", "numparticles", 40.0),
        ("number_of_particles_rejected", None, 2.0),
        ("number_of_particles_selected", None, 5.0),
    ]
    assert [row.distribution for row in rows if row.distribution] == [
        selected["selection_distribution"]
    ]
    assert (rows[3].message_uuid, rows[3].grid_uuid) == (message, plot.grid)
    assert set(current(rig).values()) == {row.value for row in rows}
    assert set(rig.states()) == {"done"}


async def test_the_latest_measurement_of_a_micrograph_counts(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files(), plot.image(11), plot.image(12))
    await rig.tell(motion(plot, 11, 5), motion(plot, 11, 6), motion(plot, 12, 7))
    await rig.tell(motion(plot, 12, 8))

    assert current(rig) == {
        (plot.micrograph_uuid(11), "total_motion"): 6,
        (plot.micrograph_uuid(11), "average_motion"): 0.6,
        (plot.micrograph_uuid(12), "total_motion"): 8,
        (plot.micrograph_uuid(12), "average_motion"): 0.8,
    }
    assert len(rig.all(select(Measurement))) == 8


@pytest.mark.parametrize("seed", range(3))
async def test_micrographs_may_come_after_their_measurements_in_any_order(
    rig: Rig, seed: int
) -> None:
    plot = Plot()
    holes = [11, 12, 13]
    sent = [motion(plot, hole, value) for hole in holes for value in (1, 2)]
    files = [*plot.files(), *(plot.image(hole) for hole in holes)]
    shuffled = random.Random(seed)
    shuffled.shuffle(sent)
    shuffled.shuffle(files)
    await rig.tell(*sent)
    assert set(rig.states()) == {"waiting"}

    await rig.tell_one_by_one(*files)

    assert set(rig.states()) == {"done"}
    last = {one["micrograph_uuid"]: one["total_motion"] for one in sent}
    totals = {str(key[0]): value for key, value in current(rig).items() if key[1][0] == "t"}
    assert totals == last


async def test_measurement_sent_twice_counts_once(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files(), plot.image(11))
    for _ in range(2):
        await rig.tell(motion(plot, 11, 5, message_id="a"), motion(plot, 11, 6, message_id="b"))

    assert len(rig.all(select(Measurement))) == 4
    assert current(rig)[plot.micrograph_uuid(11), "total_motion"] == 6


async def test_current_values_are_shown_with_their_micrograph(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files(), plot.image(11), plot.image(12))
    await rig.tell(motion(plot, 11, 5), motion(plot, 11, 6))

    shown = rig.read(entities.list_micrographs, plot.grid, limit=10).items
    assert [[(m.name, m.metric, m.value) for m in one.measurements] for one in shown] == [
        [("average_motion", None, 0.6), ("total_motion", "motioncorrection", 6.0)],
        [],
    ]


async def test_measurement_that_names_another_hole_is_a_dead_letter(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files(), plot.image(11), plot.image(12))
    await rig.tell(motion(plot, 11, 5), {**picked(plot, 11, 7), "foilhole_id": 12})

    (dead,) = [row for row in rig.messages() if row.state == "dead"]
    assert "the micrograph does not show hole 12" in str(dead.error)
    assert current(rig)[plot.micrograph_uuid(11), "total_motion"] == 5
    assert len(current(rig)) == 2


async def test_what_we_publish_ourselves_is_taken_without_effect(rig: Rig) -> None:
    plot = Plot()
    judged = {
        "event_type": "ctf.registered",
        "micrograph_uuid": str(plot.micrograph_uuid(11)),
        "quality": True,
        "metric_name": "ctfmaxresolution",
    }
    told = {"event_type": "agent.instruction.expired", "instruction_id": "1", "agent_id": "a"}
    await rig.tell(judged, told)

    assert rig.states() == ["done", "done"]
    assert current(rig) == {}
