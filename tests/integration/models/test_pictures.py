"""What the pictures of a session show is what the tables say, and few queries."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from models.cryoem import predictions
from models.cryoem.model_registry import Known, ModelLevel, begin_with, ensure
from models.cryoem.processing_tables import CurrentMeasurement
from models.cryoem.queries.models import list_history, list_models
from models.cryoem.queries.pictures import read_pictures
from models.cryoem.session_pictures import HoleState
from models.cryoem.supposed import micrographs, suppose
from models.cryoem.weight_tables import GridPlan, HoleScore, MetricStatistics
from models.cryoem.weights import in_force
from models.database import Database
from tests.integration.models.factories import NOON, Site, apply, arrive, plant, square_body
from tests.integration.models.factories import atlas_message as atlas
from tests.integration.models.measured import history, motion, photographed, predict, record

MOTION = "motioncorrection"


@pytest.fixture
def site(database: Database) -> Site:
    return photographed(database, [[11, 12, 13], [21, 22]])


def test_a_grid_without_holes_shows_its_squares_only(database: Database) -> None:
    grid = plant(database, []).grid
    with database.reading() as session:
        shown = read_pictures(session, grid, cutoff=6.0)
    assert [(one.square_id, one.value) for one in shown.squares] == [(1, None)]
    assert (shown.holes, shown.weights, shown.exposures) == ((), (), ())


def test_squares_and_holes_tell_place_score_order_and_state(database: Database) -> None:
    site = plant(database, [[11, 12, 13], [21]], bars=[13])
    apply(database, atlas(site.grid, [1, 2, 3]))
    with database.transaction() as session:
        predictions.record(session, arrive(session, square_body(site.squares[1], 0.25)))
        for hole, score, index in ((site.holes[0], 0.6, 2), (site.holes[1], 0.8, 1)):
            session.add(
                HoleScore(
                    hole_uuid=hole,
                    grid_uuid=site.grid,
                    score=score,
                    suggested_acquisition_index=index,
                    expected=score,
                    uncertainty=0.1,
                    refreshed_at=NOON,
                )
            )
    with database.reading() as session:
        shown = read_pictures(session, site.grid, cutoff=6.0)
        everything = read_pictures(session, site.grid, cutoff=6.0, all_holes=True)
    first, second, third = shown.squares
    assert (first.score, first.next_index, first.holes) == (pytest.approx(0.7), 1, 3)
    assert (second.value, second.predicted, second.score) == (0.25, 0.25, None)
    assert (third.value, third.y, third.holes) == (None, 3.0, 0)
    states = {one.hole_id: (one.state, one.index) for one in shown.holes}
    assert states == {
        11: (HoleState.PLANNED, 2),
        12: (HoleState.PLANNED, 1),
        13: (HoleState.LEFT_OUT, None),
    }
    assert {one.hole_id for one in everything.holes} == {11, 12, 13, 21}


def test_collected_holes_are_good_poor_or_not_measured(database: Database, site: Site) -> None:
    with database.transaction() as session:
        for number, (micrograph, _, _) in enumerate(micrographs(session, site.grid)[:2]):
            session.add(
                CurrentMeasurement(
                    micrograph_uuid=micrograph,
                    name="ctf_max_resolution_estimate",
                    grid_uuid=site.grid,
                    metric_name="ctfmaxresolution",
                    value=[6.0, 6.1][number],
                    message_seq=number,
                    message_uuid=micrograph,
                    measured_at=NOON,
                )
            )
    with database.reading() as session:
        shown = read_pictures(session, site.grid, cutoff=6.0, all_holes=True)
    states = [one.state for one in shown.holes]
    assert states[:2] == [HoleState.GOOD, HoleState.POOR]
    assert set(states[2:]) == {HoleState.UNMEASURED}
    assert sorted(one.ctf for one in shown.exposures if one.ctf is not None) == [6.0, 6.1]
    assert [one.collected for one in shown.squares] == [3, 2]


def test_many_squares_take_no_more_queries(database: Database) -> None:
    def count(grids: int) -> int:
        site = plant(database, [[100 * n + 1, 100 * n + 2] for n in range(1, grids + 1)])
        asked: list[str] = []

        def note(*arguments: object) -> None:
            asked.append(str(arguments[2]))

        event.listen(database.engine, "before_cursor_execute", note)
        try:
            with database.reading() as session:
                assert len(read_pictures(session, site.grid, cutoff=6.0).squares) == grids
        finally:
            event.remove(database.engine, "before_cursor_execute", note)
        return len(asked)

    assert count(1) == count(30)


def test_weights_are_thinned_out_but_never_the_last(database: Database, site: Site) -> None:
    predict(database, dict.fromkeys(site.holes, 0.7), "model")
    items = [motion(site.grid, n, 11 + n % 3, float(n % 7)) for n in range(1_003)]
    record(database, items)
    with database.reading() as session:
        points = read_pictures(session, site.grid, cutoff=6.0).weights
    assert len(points) < 600
    assert points[-1].step == 1_003


def test_supposed_qualities_weigh_models_and_leave_the_statistics(
    database: Database, site: Site
) -> None:
    predict(database, dict.fromkeys(site.holes, 0.9), "bold")
    predict(database, dict.fromkeys(site.holes, 0.5), "shy")
    with database.transaction() as session:
        taken = micrographs(session, site.grid)
        changed = suppose(session, site.grid, MOTION, [(one, 1.0) for one in taken], now=NOON)
    with database.reading() as session:
        rows = history(session, site.grid)
        statistics = session.get(MetricStatistics, (site.grid, MOTION))
        plan = session.get(GridPlan, site.grid)
        weights = in_force(session, site.grid)[MOTION]
        page = list_history(session, site.grid, metric=MOTION, model="bold", limit=3)
        rest = list_history(
            session, site.grid, metric=MOTION, model="bold", limit=3, cursor=page.next_cursor
        )
    assert changed
    assert statistics is not None
    assert statistics.count == 0
    assert plan is not None
    assert plan.refresh_wanted_at == NOON
    assert weights["bold"] > 0.9 > weights["shy"]
    assert all(row.message_seq < 0 for row in rows)
    judged = [row for row in rows if row.quality is not None]
    assert {row.micrograph_uuid for row in judged} == {one for one, _, _ in taken}
    assert len(page.items) + len(rest.items) == len(taken) + 1  # and what it began with


def test_models_are_made_known_once_and_kept_as_people_describe_them(database: Database) -> None:
    wanted = [Known("net", "first", ModelLevel.HOLE, 2.0), Known("other")]
    with database.transaction() as session:
        assert ensure(session, wanted, now=NOON) == 2
        begin_with(session, "net", 5.0, metric=None)
    with database.transaction() as session:
        later = [Known("net", "second", None, 3.0)]
        assert ensure(session, later, now=NOON + timedelta(days=1)) == 0
    with database.reading() as session:
        net, other = list_models(session).items
    assert (net.description, net.level, net.initial_weights[0].weight) == ("first", "foilhole", 5.0)
    assert (other.description, other.initial_weights) == (None, [])
