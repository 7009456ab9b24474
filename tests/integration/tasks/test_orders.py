"""A refresh scores and orders a grid, tells Athena what is new of that, and is done once."""

import json
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update
from sqlmodel import Session, col

from core.clock import utcnow
from core.settings import DecisionSettings
from domains.cryoem import ids
from domains.cryoem.planners import PlannerName
from domains.cryoem.policy import Policy
from models.cryoem import refreshing, session_life, wanting, weights
from models.cryoem.decision_tables import Decision
from models.cryoem.decisions import ORDER, SUBMIT
from models.cryoem.intake import PREDICTIONS, SCORES
from models.cryoem.queries.decisions import get_decision
from models.cryoem.refreshing import Ways
from models.cryoem.tables import Acquisition, Square
from models.cryoem.weight_tables import GridPlan, HoleScore, InitialWeight
from models.outbox import OutboxMessage
from tasks.cryoem.entities import drain_entities
from tasks.cryoem.predictions import drain_predictions
from tasks.cryoem.scores import drain_refreshes, refresh_grid
from tasks.cryoem.sessions import open_session
from tasks.cryoem.submission import drain_decisions
from tasks.cryoem.sweeping import sweep_all
from tasks.intake import accept
from tests.database_fixtures import statements
from tests.integration.models.factories import NOON, hole_body, plant, square_body
from tests.integration.tasks.message_rig import Plot, Rig
from tests.session_fixtures import Here, RecordingLauncher, SmallSession
from tests.session_fixtures import test_settings as settings_of_tests

WAYS = Ways(Policy(), PlannerName.CLASSIC, ctf_cutoff=6.0, order_holes=100, session_hours=24)


def orders(rig: Rig) -> list[Decision]:
    statement = (
        select(Decision)
        .join(OutboxMessage, col(OutboxMessage.id) == col(Decision.id))
        .where(col(Decision.decision_type) == ORDER)
        .order_by(col(OutboxMessage.seq))
    )
    return rig.all(statement)


def told(decision: Decision) -> list[UUID]:
    ranked = sorted(decision.outcome.items(), key=lambda item: item[1]["position"])
    assert [said["position"] for _, said in ranked] == list(range(1, len(ranked) + 1))
    return [UUID(area) for area, _ in ranked]


def scores(rig: Rig) -> dict[UUID, HoleScore]:
    return {row.hole_uuid: row for row in rig.all(select(HoleScore))}


def plan(rig: Rig, plot: Plot) -> GridPlan | None:
    found = rig.all(select(GridPlan).where(col(GridPlan.grid_uuid) == plot.grid))
    return found[0] if found else None


async def _predicted(rig: Rig, plot: Plot, *, model: str = "a", metric: str | None = None) -> None:
    """Have square 2 better than square 1, and later holes better than earlier ones."""
    await rig.tell(*plot.files())
    holes = [*plot.hole_ids(1), *plot.hole_ids(2)]
    await rig.tell(
        *(hole_body(plot.hole_uuid(h), h / 100, model=model, metric=metric) for h in holes)
    )
    await rig.drain(SCORES, plot.grid)


async def test_holes_are_scored_ordered_and_told_square_by_square(rig: Rig) -> None:
    plot = Plot()
    await _predicted(rig, plot)

    found = scores(rig)
    assert {hole: round(row.score, 9) for hole, row in found.items()} == {
        plot.hole_uuid(hole): hole / 100 for hole in (11, 12, 13, 21, 22, 23)
    }
    ranked = sorted(found.values(), key=lambda row: row.suggested_acquisition_index or 0)
    assert [row.suggested_acquisition_index for row in ranked] == [1, 2, 3, 4, 5, 6]
    best = [plot.hole_uuid(hole) for hole in (23, 22, 21, 13, 12, 11)]
    assert [row.hole_uuid for row in ranked] == best

    by_area = {decision.area_uuid: decision for decision in orders(rig)}
    atlas = ids.atlas_uuid(plot.grid)
    assert told(by_area[atlas]) == [plot.square_uuid(2), plot.square_uuid(1)]
    assert told(by_area[plot.square_uuid(2)]) == best[:3]
    assert told(by_area[plot.square_uuid(1)]) == best[3:]
    assert "classic: the next 3 holes; 23: expected 0.23" in by_area[plot.square_uuid(2)].details


async def test_unchanged_order_is_not_told_again(rig: Rig) -> None:
    plot = Plot()
    await _predicted(rig, plot)
    before = [one.id for one in orders(rig)]

    await refresh_grid(rig.resources, plot.grid, flow_run_id=None)
    # The holes keep their order.
    await rig.tell(hole_body(plot.hole_uuid(23), 0.9, model="a"))
    await rig.drain(SCORES, plot.grid)

    assert [one.id for one in orders(rig)] == before


async def test_order_that_comes_again_after_another_is_told_again(rig: Rig) -> None:
    plot = Plot(squares=1)
    await _predicted(rig, plot)
    for value in (0.01, 0.13):
        await rig.tell(hole_body(plot.hole_uuid(13), value, model="a"))
        await rig.drain(SCORES, plot.grid)

    of_square = [one for one in orders(rig) if one.area_uuid == plot.square_uuid(1)]
    first, second, third = (told(one) for one in of_square)
    assert first == third != second
    assert len({one.id for one in of_square}) == 3
    rows = rig.all(select(OutboxMessage).where(col(OutboxMessage.subject).startswith(ORDER)))
    states = {row.id: row.state for row in rows}
    assert [states[one.id] for one in of_square] == ["superseded", "superseded", "pending"]


async def test_collected_holes_leave_the_order_and_it_is_not_told_again_for_that(
    rig: Rig,
) -> None:
    plot = Plot(squares=1, holes=6)
    await _predicted(rig, plot)
    before = [one.id for one in orders(rig)]

    await rig.tell(plot.image(16))
    await refresh_grid(rig.resources, plot.grid, flow_run_id=None)
    assert [one.id for one in orders(rig)] == before
    assert scores(rig)[plot.hole_uuid(16)].suggested_acquisition_index is None
    assert scores(rig)[plot.hole_uuid(15)].suggested_acquisition_index == 1

    await rig.tell(*(plot.image(hole) for hole in (15, 14, 13, 12, 11)))
    await refresh_grid(rig.resources, plot.grid, flow_run_id=None)
    assert {row.suggested_acquisition_index for row in scores(rig).values()} == {None}
    assert [one.id for one in orders(rig)] == before


async def test_holes_of_a_square_that_is_not_selected_are_scored_and_not_ordered(rig: Rig) -> None:
    plot = Plot()
    await _predicted(rig, plot)

    def leave_out(session: Session) -> None:
        square = session.get(Square, plot.square_uuid(2))
        assert square is not None
        square.selected = False

    await rig.database.write(leave_out)
    await refresh_grid(rig.resources, plot.grid, flow_run_id=None)

    places = {hole: row.suggested_acquisition_index for hole, row in scores(rig).items()}
    assert [places[plot.hole_uuid(hole)] for hole in (13, 12, 11)] == [1, 2, 3]
    assert [places[plot.hole_uuid(hole)] for hole in (23, 22, 21)] == [None] * 3


async def test_model_of_squares_orders_their_holes(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(square_body(plot.square_uuid(1), 0.9), square_body(plot.square_uuid(2), 0.2))
    await rig.drain(SCORES, plot.grid)

    found = scores(rig)
    assert {round(found[plot.hole_uuid(hole)].score, 9) for hole in (11, 12, 13)} == {0.9}
    assert {round(found[plot.hole_uuid(hole)].score, 9) for hole in (21, 22, 23)} == {0.2}


async def test_metric_without_predictions_counts_as_not_known(rig: Rig) -> None:
    plot = Plot(squares=1)
    await _predicted(rig, plot, metric="ctfmaxresolution")

    score = scores(rig)[plot.hole_uuid(13)].score
    assert score == pytest.approx((0.13 * 0.5 * 0.5) ** (1 / 3))


async def test_model_without_initial_weight_has_a_say_like_the_others(rig: Rig) -> None:
    plot = Plot(squares=1)

    def weigh(session: Session) -> None:
        session.add(InitialWeight(model_name="a", weight=1.0))

    await rig.database.write(weigh)
    await _predicted(rig, plot)
    await rig.tell(hole_body(plot.hole_uuid(13), 0.93, model="new"))
    await rig.drain(SCORES, plot.grid)

    assert scores(rig)[plot.hole_uuid(13)].score == pytest.approx((0.13 + 0.93) / 2)


async def test_grid_without_holes_or_predictions_is_refreshed_to_nothing(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(plot.session())
    await refresh_grid(rig.resources, plot.grid, flow_run_id=None)
    await rig.tell(*plot.files())
    await refresh_grid(rig.resources, plot.grid, flow_run_id=None)

    assert (scores(rig), orders(rig)) == ({}, [])
    known = plan(rig, plot)
    assert known is not None
    assert known.refreshed_at is not None
    assert known.refresh_wanted_at is None


async def test_session_that_has_ended_gets_scores_and_no_order(rig: Rig) -> None:
    plot = Plot(squares=1)
    await rig.tell(*plot.files())
    await rig.tell(*(hole_body(plot.hole_uuid(hole), hole / 100) for hole in (11, 12, 13)))
    await rig.database.write(
        lambda session: session_life.end(session, plot.grid, at=utcnow(), reason="all done")
    )
    await refresh_grid(rig.resources, plot.grid, flow_run_id=None)

    assert len(scores(rig)) == 3
    assert orders(rig) == []


async def test_weights_that_change_change_what_is_selected(rig: Rig) -> None:
    plot = Plot(squares=1, holes=2)
    await rig.tell(*plot.files())
    bodies = [
        hole_body(plot.hole_uuid(hole), value, model=model)
        for model, value in (("optimist", 0.9), ("pessimist", 0.3))
        for hole in (11, 12)
    ]
    await rig.tell(*bodies)
    await rig.drain(SCORES, plot.grid)

    def selected() -> list[bool]:
        subject = f"foilHoleSelection/{plot.square_uuid(1)}"
        statement = (
            select(Decision)
            .join(OutboxMessage, col(OutboxMessage.id) == col(Decision.id))
            .where(col(OutboxMessage.subject) == subject, col(OutboxMessage.state) == "pending")
        )
        (decision,) = rig.all(statement)
        return sorted(decision.outcome.values())

    assert selected() == [True, True]
    for trusted, value in (("pessimist", False), ("optimist", True), ("pessimist", False)):
        other = "optimist" if trusted == "pessimist" else "pessimist"

        def trust(session: Session, good: str = trusted, bad: str = other) -> None:
            for metric in ("motioncorrection", "ctfmaxresolution", "numparticles"):
                weights.put(session, plot.grid, metric, {good: 1.0, bad: 0.0}, now=utcnow())

        await rig.database.write(trust)
        await refresh_grid(rig.resources, plot.grid, flow_run_id=None)
        assert selected() == [value, value]


# Coalescing -------------------------------------------------------------------------------------


async def test_predictions_ask_for_a_refresh_and_ring_for_it(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(hole_body(plot.hole_uuid(11), 0.9))

    known = plan(rig, plot)
    assert known is not None
    assert known.refresh_wanted_at is not None
    launcher = rig.resources.launcher
    assert isinstance(launcher, RecordingLauncher)
    assert (SCORES, str(plot.grid)) in launcher.launched


async def test_what_is_asked_for_while_a_refresh_runs_stays_asked_for(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(hole_body(plot.hole_uuid(11), 0.9))

    prepared = await rig.database.read(refreshing.prepare, plot.grid, WAYS, now=utcnow())
    await rig.tell(hole_body(plot.hole_uuid(12), 0.9))
    await rig.database.write(refreshing.carry_out, plot.grid, prepared, WAYS, now=utcnow())
    assert await rig.database.read(wanting.is_wanted, plot.grid)

    await rig.drain(SCORES, plot.grid)
    assert not await rig.database.read(wanting.is_wanted, plot.grid)
    assert scores(rig)[plot.hole_uuid(12)].score == pytest.approx(0.9)


async def test_selection_rests_on_no_value_that_was_replaced_meanwhile(rig: Rig) -> None:
    plot = Plot(squares=1, holes=1)
    await rig.tell(*plot.files())
    await rig.take(hole_body(plot.hole_uuid(11), 0.1))
    await rig.work()
    await rig.database.write(_forget_decisions)
    prepared = await rig.database.read(refreshing.prepare, plot.grid, WAYS, now=utcnow())
    assert prepared.stale == [plot.square_uuid(1)]
    await rig.tell(hole_body(plot.hole_uuid(11), 0.9))
    await rig.database.write(refreshing.carry_out, plot.grid, prepared, WAYS, now=utcnow())
    await rig.drain(SCORES, plot.grid)

    statement = select(Decision).where(col(Decision.decision_type) != ORDER)
    assert [one.outcome for one in rig.all(statement)] == [{str(plot.hole_uuid(11)): True}]


def _forget_decisions(session: Session) -> None:
    session.execute(delete(OutboxMessage))
    session.execute(delete(Decision))


async def test_crash_before_the_commit_changes_nothing_and_forgets_nothing(rig: Rig) -> None:
    plot = Plot()
    await rig.tell(*plot.files())
    await rig.tell(hole_body(plot.hole_uuid(11), 0.9))
    prepared = await rig.database.read(refreshing.prepare, plot.grid, WAYS, now=utcnow())

    class Crash(Exception):
        pass

    def crash(session: Session) -> None:
        refreshing.carry_out(session, plot.grid, prepared, WAYS, now=utcnow())
        raise Crash

    with pytest.raises(Crash):
        await rig.database.write(crash)

    assert (scores(rig), orders(rig)) == ({}, [])
    assert await rig.database.read(wanting.is_wanted, plot.grid)
    later = utcnow() + timedelta(seconds=1)
    assert await rig.database.read(wanting.grids_wanted, before=later) == [plot.grid]


async def test_refresh_that_comes_too_soon_is_done_once_later(rig: Rig) -> None:
    plot = Plot()
    await _predicted(rig, plot)
    first = plan(rig, plot)
    assert first is not None
    assert first.refreshed_at is not None
    pause = 0.5
    slow = settings_of_tests(decisions=DecisionSettings(refresh_seconds=pause))
    resources = replace(rig.resources, settings=slow)
    for value in (0.5, 0.6, 0.7):
        await rig.tell(hole_body(plot.hole_uuid(11), value, model="a"))

    with statements(rig.database) as run:
        await refresh_grid(resources, plot.grid, flow_run_id=None)

    second = plan(rig, plot)
    assert second is not None
    assert second.refreshed_at is not None
    assert second.refreshed_at - first.refreshed_at >= timedelta(seconds=pause)
    assert scores(rig)[plot.hole_uuid(11)].score == pytest.approx(0.7)
    assert len([one for one in run if "INTO hole_score" in one]) == 1


async def test_grid_of_ten_times_the_holes_takes_as_many_statements(rig: Rig) -> None:
    counts = []
    for holes in (3, 9):
        plot = Plot(squares=2, holes=holes)
        await rig.tell(*plot.files())
        bodies = [
            hole_body(plot.hole_uuid(hole), hole / 100, model=model, metric=metric)
            for hole in (*plot.hole_ids(1), *plot.hole_ids(2))
            for model in ("a", "b")
            for metric in ("motioncorrection", "ctfmaxresolution")
        ]
        await rig.tell(*bodies)
        with statements(rig.database) as run:
            prepared = rig.read(refreshing.prepare, plot.grid, WAYS, now=utcnow())
            await rig.database.write(refreshing.carry_out, plot.grid, prepared, WAYS, now=utcnow())
        counts.append(len(run))
    assert counts[0] == counts[1] <= 45


async def test_planner_of_a_session_is_the_one_that_was_chosen(rig: Rig) -> None:
    plot = Plot()
    await _predicted(rig, plot)
    await rig.database.write(wanting.choose, plot.grid, PlannerName.ADAPTIVE, now=utcnow())
    await rig.tell(hole_body(plot.hole_uuid(11), 0.95, model="a"))
    await rig.drain(SCORES, plot.grid)

    assert orders(rig)[-1].details.startswith("adaptive: ")


async def test_adaptive_order_is_made_for_the_time_that_is_left(rig: Rig) -> None:
    site = plant(rig.database, [range(100 * n, 100 * n + 30) for n in range(1, 5)])
    random = Random(7)
    await rig.take(*(hole_body(hole, random.random()) for hole in site.holes))
    await rig.drain(PREDICTIONS, site.grid)
    ways = replace(WAYS, planner=PlannerName.ADAPTIVE)
    began = update(Acquisition).values(started_at=NOON)
    await rig.database.write(lambda session: session.execute(began) and None)

    def places(hours: float) -> list[int]:
        now = NOON + timedelta(hours=hours)
        prepared = rig.read(refreshing.prepare, site.grid, ways, now=now)
        holes, found = (prepared.scores[n] for n in ("hole_uuid", "suggested_acquisition_index"))
        return [place for _, place in sorted(zip(holes, found, strict=True))]

    assert places(1) == places(1)
    assert places(1) != places(23)
    # Beyond its time it is taken to go on as long, however late it is.
    assert places(23) == places(30) == places(300)


# At Athena --------------------------------------------------------------------------------------


async def test_order_is_told_athena_once_with_its_reasons(here: Here) -> None:
    session = SmallSession(squares=2, holes=3)
    await here.send(*session.all())
    await drain_entities.fn(session.grid)
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)
    bodies: list[Any] = [
        hole_body(ids.hole_uuid(session.grid, hole), hole / 1000)
        for holes in session.holes.values()
        for hole in holes
    ]
    await accept(here.resources, bodies, source="test")
    await drain_predictions.fn(session.grid)
    for _ in range(2):
        await drain_refreshes.fn(session.grid)
        await drain_entities.fn(session.grid)
        await drain_decisions.fn(session.grid)

    areas = {area.id: area for area in await here.client.find_areas(session.grid)}
    (atlas,) = [area.id for area in areas.values() if area.area_type == "atlas"]
    found = [
        one for one in await here.client.find_decisions(session.grid) if one.decision_type == ORDER
    ]
    values = {one.area_id: json.loads(one.decision_value or "") for one in found}
    assert len(found) == 3
    assert values == {
        atlas: [{"areaId": 2, "result": "1"}, {"areaId": 1, "result": "2"}],
        2: [{"areaId": 203 - n, "result": str(n + 1)} for n in range(3)],
        1: [{"areaId": 103 - n, "result": str(n + 1)} for n in range(3)],
    }
    of_square = next(one for one in found if one.area_id == 2)
    assert of_square.id is not None
    with here.resources.database.reading() as db:
        trail = get_decision(db, of_square.id)
    assert [one.target_id for one in trail.order] == [203, 202, 201]
    assert trail.order[0].expected == pytest.approx(0.203)
    assert trail.order[0].cost > 0
    assert len(trail.predictions) == 3
    assert trail.athena is not None
    assert trail.athena.value == of_square.decision_value


async def test_sweep_rings_for_a_refresh_that_no_ring_reached(here: Here) -> None:
    session = SmallSession(squares=1)
    await here.send(*session.all())
    await drain_entities.fn(session.grid)
    await here.resources.database.write(wanting.want, [session.grid], now=utcnow())

    swept = await sweep_all.fn()

    assert (SCORES, str(session.grid)) in swept.bells
    assert (SUBMIT, str(session.grid)) not in swept.bells
