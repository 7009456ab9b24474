"""What is measured is judged, told to who listens, and asks for a new order."""

from typing import Any

from sqlalchemy import select
from sqlmodel import col

from models.cryoem.emitted import PUBLISH
from models.cryoem.intake import MEASUREMENTS, SCORES
from models.cryoem.messages import MetricRegistered, parse
from models.cryoem.queries import entities
from models.cryoem.weight_tables import GridPlan, ModelWeight
from models.outbox import OutboxMessage
from tests.integration.models.factories import hole_body
from tests.integration.tasks.message_rig import Plot, Rig
from tests.session_fixtures import RecordingLauncher


def measured(plot: Plot, hole: int, kind: str, **values: Any) -> dict[str, Any]:
    return {
        "event_type": f"{kind}.completed",
        "micrograph_uuid": str(plot.micrograph_uuid(hole)),
        **values,
    }


def motion(plot: Plot, hole: int, total: float, **values: Any) -> dict[str, Any]:
    return measured(
        plot, hole, "motion_correction", total_motion=total, average_motion=1.0, **values
    )


async def photographed(rig: Rig) -> Plot:
    plot = Plot()
    await rig.tell(*plot.files(), *(plot.image(hole) for hole in (11, 12, 13)))
    return plot


def published(rig: Rig) -> list[OutboxMessage]:
    statement = select(OutboxMessage).where(
        col(OutboxMessage.flow) == PUBLISH, col(OutboxMessage.subject).not_like("grid%")
    )
    return rig.all(statement.order_by(col(OutboxMessage.seq)))


def launched(rig: Rig) -> list[str]:
    launcher = rig.resources.launcher
    assert isinstance(launcher, RecordingLauncher)
    return [flow for flow, _ in launcher.launched]


async def test_each_judged_metric_is_published_with_its_verdict(rig: Rig) -> None:
    plot = await photographed(rig)
    publishing = Rig(rig.resources, publish=True)
    await publishing.tell(
        motion(plot, 11, 5.0),
        motion(plot, 12, 6.0),
        measured(plot, 11, "ctf", ctf_max_resolution_estimate=3.5),
        measured(plot, 11, "particle_picking", number_of_particles_picked=3),
        measured(plot, 12, "particle_picking", number_of_particles_picked=4),
        measured(
            plot,
            11,
            "particle_selection",
            number_of_particles_selected=3,
            number_of_particles_rejected=0,
            selection_distribution={},
        ),
    )

    rows = published(rig)
    told = sorted((row.subject, row.payload["quality"], row.payload["metric_name"]) for row in rows)
    assert told == [
        ("ctf.registered", True, "ctfmaxresolution"),
        ("motion_correction.registered", False, "motioncorrection"),
        ("motion_correction.registered", True, "motioncorrection"),
        ("particle_picking.registered", True, "numparticles"),
        ("particle_picking.registered", True, "numparticles"),
    ]
    for row in rows:
        assert isinstance(parse(row.payload), MetricRegistered)
        assert set(row.payload) == {"event_type", "micrograph_uuid", "quality", "metric_name"}
        assert row.caused_at is not None
        assert row.key == str(plot.grid)


async def test_message_that_comes_twice_is_published_once(rig: Rig) -> None:
    plot = await photographed(rig)
    publishing = Rig(rig.resources, publish=True)
    for _ in range(2):
        await publishing.tell(motion(plot, 11, 5.0, message_id="a"))

    assert len(published(rig)) == 1


async def test_nothing_is_published_where_it_is_not_asked_for(rig: Rig) -> None:
    plot = await photographed(rig)
    await rig.tell(motion(plot, 11, 5.0))

    assert published(rig) == []


async def test_refresh_is_rung_for_when_a_weight_changes(rig: Rig) -> None:
    plot = await photographed(rig)
    await rig.tell(motion(plot, 11, 5.0))
    assert SCORES not in launched(rig)
    (plan,) = rig.all(select(GridPlan))
    assert plan.refresh_wanted_at is not None

    await rig.tell(hole_body(plot.hole_uuid(12), 0.9))
    await rig.tell(motion(plot, 12, 4.0))

    assert launched(rig).count(SCORES) == 1
    assert [row.weight for row in rig.all(select(ModelWeight))] == [1.0]


async def test_measurement_that_waited_is_judged_when_its_micrograph_is_known(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(motion(plot, 11, 5.0))
    await rig.tell(*plot.files(), plot.image(11))

    shown = rig.read(entities.list_micrographs, plot.grid, limit=10).items
    assert [(one.name, one.quality) for one in shown[0].measurements] == [
        ("average_motion", None),
        ("total_motion", 1.0),
    ]


async def test_value_beyond_any_measurement_is_a_dead_letter_beside_its_neighbours(
    rig: Rig,
) -> None:
    plot = await photographed(rig)
    await rig.tell(motion(plot, 11, 5.0), motion(plot, 12, 1e300), motion(plot, 13, 6.0))

    (dead,) = [row for row in rig.messages() if row.state == "dead"]
    assert "1e+300 is no measurement" in str(dead.error)
    assert [row.state for row in rig.messages() if row.flow == MEASUREMENTS].count("done") == 2
