"""Models are weighed by what was measured: in order, once, and with a trail."""

import random
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from models.cryoem import predictions, weights
from models.cryoem.processing_tables import CurrentMeasurement, Measurement
from models.cryoem.weight_tables import GridPlan, InitialWeight, MetricStatistics
from models.database import Database
from tests.integration.models.factories import NOON, Site, after, arrive, square_body
from tests.integration.models.measured import (
    history,
    motion,
    one_by_one,
    photographed,
    predict,
    record,
)
from tests.integration.models.measured import weights as weights_of

MOTION = "motioncorrection"
HOLES = list(range(10, 30))


@pytest.fixture
def site(database: Database) -> Site:
    """A grid of two squares with ten photographed holes each."""
    return photographed(database, [HOLES[:10], HOLES[10:]])


def _statistics(session: Session, grid: UUID) -> tuple[int, float, float]:
    row = session.get(MetricStatistics, (grid, MOTION))
    assert row is not None
    return row.count, row.mean, row.m2


def test_statistics_weights_and_history_are_those_of_the_rules(
    database: Database, site: Site
) -> None:
    dice = random.Random(1)
    sure = {hole: dice.random() for hole in site.holes}
    vague = {hole: dice.random() for hole in site.holes[:12]}
    predict(database, sure, "sure")
    predict(database, vague, "vague")
    totals = [dice.uniform(1, 20) for _ in HOLES]
    items = [motion(site.grid, n, HOLES[n], total) for n, total in enumerate(totals)]
    predicted = [
        {"sure": sure[hole]} | ({"vague": vague[hole]} if hole in vague else {})
        for hole in site.holes
    ]

    # In batches of several sizes, each in no order.
    for part in (items[:1], items[1:8], items[8:]):
        recorded = record(database, dice.sample(part, len(part)))
        assert recorded.weighed == {site.grid}

    expected, qualities, turns = one_by_one(totals, predicted, {"sure": 0.5, "vague": 0.5})
    with database.reading() as session:
        assert _statistics(session, site.grid) == pytest.approx(
            (expected.count, expected.mean, expected.m2)
        )
        assert weights_of(session, site.grid) == pytest.approx(turns[-1])
        rows = history(session, site.grid)
        stored = session.execute(
            select(col(Measurement.name), col(Measurement.quality)).order_by(
                col(Measurement.message_seq)
            )
        ).all()
    assert [(row.step, row.message_seq) for row in rows[2:]] == [
        (n, n - 1) for n in range(1, 21) for _ in "sv"
    ]
    assert [row.weight for row in rows[2:]] == pytest.approx(
        [turn[model] for turn in turns for model in ("sure", "vague")]
    )
    assert [row.prediction for row in rows[2:]] == [
        one.get(model) for one in predicted for model in ("sure", "vague")
    ]
    assert [row.quality for row in rows[2::2]] == pytest.approx(qualities)
    assert [q for name, q in stored if name == "total_motion"] == pytest.approx(qualities)
    assert {q for name, q in stored if name != "total_motion"} == {None}


def test_history_begins_with_what_models_had_before_the_first_value(
    database: Database, site: Site
) -> None:
    with database.transaction() as session:
        session.add(InitialWeight(model_name="a", metric_name="", weight=2))
        session.add(InitialWeight(model_name="b", metric_name="", weight=7))
        session.add(InitialWeight(model_name="b", metric_name=MOTION, weight=3))
    predict(database, {site.holes[0]: 0.9}, "a")
    predict(database, {site.holes[0]: 0.9}, "b")

    record(database, [motion(site.grid, 5, HOLES[0], 3)])

    with database.reading() as session:
        rows = history(session, site.grid)
    assert [(row.model_name, row.step) for row in rows[:2]] == [("a", 0), ("b", 0)]
    assert [row.weight for row in rows[:2]] == pytest.approx([0.4, 0.6])
    assert all(row.message_seq < 0 and row.micrograph_uuid is None for row in rows[:2])


def test_messages_recorded_again_have_no_second_effect(database: Database, site: Site) -> None:
    predict(database, dict.fromkeys(site.holes, 0.8), "a")
    predict(database, dict.fromkeys(site.holes, 0.3), "b")
    items = [motion(site.grid, n, HOLES[n], 5 + n) for n in range(6)]
    record(database, items)
    with database.reading() as session:
        before = (_statistics(session, site.grid), weights_of(session, site.grid))
        rows = history(session, site.grid)

    again = record(database, items[2:])
    mixed = record(database, [*items[:3], motion(site.grid, 9, HOLES[9], 6)])

    assert (again.judged, again.weighed) == ([], set())
    assert [one.sample.seq for one in mixed.judged] == [9]
    with database.reading() as session:
        assert _statistics(session, site.grid)[0] == before[0][0] + 1
        assert history(session, site.grid)[: len(rows)] == rows
        current = session.scalars(select(CurrentMeasurement)).all()
    assert all(row.quality is not None for row in current if row.metric_name)


def test_micrograph_measured_again_is_judged_again(database: Database, site: Site) -> None:
    record(database, [motion(site.grid, 1, HOLES[0], 5), motion(site.grid, 2, HOLES[1], 7)])
    record(database, [motion(site.grid, 3, HOLES[0], 4)])

    expected, qualities, _ = one_by_one([5, 7, 4], [{}, {}, {}], {})
    with database.reading() as session:
        assert _statistics(session, site.grid) == pytest.approx(
            (expected.count, expected.mean, expected.m2)
        )
        current = session.scalars(
            select(col(CurrentMeasurement.quality))
            .where(col(CurrentMeasurement.name) == "total_motion")
            .order_by(col(CurrentMeasurement.message_seq))
        ).all()
    assert current == pytest.approx(qualities[1:])


def test_older_value_that_comes_later_is_judged_but_stays_behind_the_newer(
    database: Database, site: Site
) -> None:
    record(database, [motion(site.grid, 5, HOLES[0], 5)])
    late = record(database, [motion(site.grid, 4, HOLES[0], 9)])

    assert [(one.step, one.quality) for one in late.judged] == [(2, 0.0)]
    with database.reading() as session:
        (current,) = session.scalars(
            select(CurrentMeasurement).where(col(CurrentMeasurement.name) == "total_motion")
        ).all()
    assert (current.value, current.quality) == (5, 1.0)


def test_nearest_and_most_special_prediction_counts(database: Database, site: Site) -> None:
    square, hole = site.squares[0], site.holes[0]
    with database.transaction() as session:
        bodies = [square_body(square, 0.1), square_body(square, 0.2, metric=MOTION)]
        predictions.record(session, arrive(session, *bodies))
    told = []
    for seq, more in enumerate([None, {}, {"metric": MOTION}, {"metric": "numparticles"}]):
        if more is not None:
            predict(database, {hole: 0.5 + seq / 10}, "model", **more)
        record(database, [motion(site.grid, seq, HOLES[0], 5)])
        with database.reading() as session:
            told.append(history(session, site.grid)[-1].prediction)

    assert told == [0.2, 0.6, 0.7, 0.7]


def test_model_that_predicts_another_metric_only_has_no_weight(
    database: Database, site: Site
) -> None:
    predict(database, {site.holes[0]: 0.9}, "other", metric="ctfmaxresolution")
    predict(database, {site.holes[5]: 0.9}, "elsewhere", metric=MOTION)

    recorded = record(database, [motion(site.grid, 1, HOLES[0], 5)])

    assert recorded.weighed == {site.grid}  # `elsewhere` has joined
    with database.reading() as session:
        assert weights_of(session, site.grid) == {"elsewhere": 1.0}
        assert [row.prediction for row in history(session, site.grid)] == [None, None]


def test_late_model_joins_with_the_average_and_a_trail(database: Database, site: Site) -> None:
    predict(database, dict.fromkeys(site.holes, 0.9), "a")
    predict(database, dict.fromkeys(site.holes, 0.2), "b")
    record(database, [motion(site.grid, 1, HOLES[0], 5)])
    predict(database, {site.holes[-1]: 0.5}, "late")

    record(database, [motion(site.grid, 2, HOLES[1], 6)])

    with database.reading() as session:
        rows = history(session, site.grid)
        assert sum(weights_of(session, site.grid).values()) == pytest.approx(1)
    joining = [row for row in rows if row.message_seq < 0 and row.step == 1]
    assert {row.model_name: row.weight for row in joining} == pytest.approx(
        {"a": 2 / 3 * 0.9 / 1.1, "b": 2 / 3 * 0.2 / 1.1, "late": 1 / 3}
    )
    # Without a prediction for this hole it keeps what it joined with.
    assert rows[-1].model_name == "late"
    assert rows[-1].weight == pytest.approx(1 / 3)


def test_grid_without_models_has_statistics_and_no_weights(database: Database, site: Site) -> None:
    recorded = record(database, [motion(site.grid, 1, HOLES[0], 5)])

    assert [one.quality for one in recorded.judged] == [1.0]
    assert recorded.weighed == set()
    with database.reading() as session:
        assert _statistics(session, site.grid) == (1, 5.0, 0.0)
        assert history(session, site.grid) == []
        assert weights.in_force(session, site.grid) == {
            MOTION: {},
            "ctfmaxresolution": {},
            "numparticles": {},
        }


def test_weights_in_force_are_those_that_the_next_value_finds(
    database: Database, site: Site
) -> None:
    predict(database, {site.holes[0]: 0.9}, "a")
    predict(database, {site.holes[0]: 0.9}, "b", metric=MOTION)

    with database.reading() as session:
        in_force = weights.in_force(session, site.grid)

    assert in_force == {
        MOTION: {"a": 0.5, "b": 0.5},
        "ctfmaxresolution": {"a": 1.0},
        "numparticles": {"a": 1.0},
    }


def test_weights_set_by_hand_are_in_force_and_in_the_history(
    database: Database, site: Site
) -> None:
    predict(database, dict.fromkeys(site.holes, 0.5), "a")
    record(database, [motion(site.grid, 1, HOLES[0], 5)])

    with database.transaction() as session:
        first = weights.put(session, site.grid, MOTION, {"b": 3.0}, now=NOON)
        other = weights.put(session, site.grid, "numparticles", {"b": 3.0}, now=NOON)
    with database.transaction() as session:
        second = weights.put(session, site.grid, MOTION, {"c": 1.0}, now=after(1))
    record(database, [motion(site.grid, 2, HOLES[1], 6)])

    assert (first, other) == ({"a": 0.25, "b": 0.75}, {"b": 1.0})
    assert second == {"a": 0.125, "b": 0.375, "c": 0.5}
    with database.reading() as session:
        rows = history(session, site.grid)
        assert weights_of(session, site.grid) == pytest.approx(second)
    by_hand = [row for row in rows if row.message_seq < 0 and row.changed_at == after(1)]
    assert {row.model_name: (row.weight, row.step) for row in by_hand} == {
        "a": (0.125, 1),
        "b": (0.375, 1),
        "c": (0.5, 1),
    }


def test_judged_value_asks_for_the_grids_order(database: Database, site: Site) -> None:
    with database.transaction() as session:
        session.add(GridPlan(grid_uuid=site.grid, planner="adaptive", refreshed_at=NOON))
    record(database, [motion(site.grid, 1, HOLES[0], 5)], now=after(7))
    record(database, [motion(site.grid, 1, HOLES[0], 5)], now=after(9))

    with database.reading() as session:
        plan = session.get(GridPlan, site.grid)
    assert plan is not None
    assert (plan.planner, plan.refreshed_at, plan.refresh_wanted_at) == (
        "adaptive",
        NOON,
        after(7),
    )
