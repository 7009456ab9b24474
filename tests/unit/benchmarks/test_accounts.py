"""That the chaos run's look at weights, scores and orders sees what is amiss."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from benchmarks.chaos.accounts import accounts
from benchmarks.chaos.ledger import Entry, Ledger, Score, Step
from benchmarks.chaos.lines import Line
from benchmarks.chaos.observe import ORDER, Observed, Told
from benchmarks.chaos.orders import hole_scores, measured_values, next_squares, orders
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.reference import Arrived, Expected, expect
from benchmarks.chaos.weights import Account
from benchmarks.chaos.world import make_grids
from domains.cryoem import ids

GRIDS = make_grids(1, grids=1, squares=1, holes=4)
(GRID,) = GRIDS
(SQUARE,) = GRID.squares
FIRST, SECOND, THIRD, FOURTH = SQUARE.holes
ATLAS = ids.atlas_uuid(GRID.uuid)
GROUND = (GRID.uuid, "motioncorrection")
PLAN = Plan(1, GRIDS, (), (), ())
VALUES = uuid4(), uuid4()


def micrograph(of: object) -> UUID:
    assert isinstance(of, UUID)
    return of


SHOWN, ALSO_SHOWN = micrograph(FIRST.micrograph), micrograph(FOURTH.micrograph)


def motion(of: UUID, total: float) -> dict[str, Any]:
    return {
        "event_type": "motion_correction.completed",
        "micrograph_uuid": str(of),
        "total_motion": total,
        "average_motion": 1.0,
    }


BODIES = [
    {
        "event_type": "foilhole.model_prediction",
        "foilhole_uuid": str(FIRST.uuid),
        "prediction_model_name": "a",
        "prediction_value": 0.9,
    },
    {
        "event_type": "gridsquare.model_prediction",
        "gridsquare_uuid": str(SQUARE.uuid),
        "prediction_model_name": "b",
        "prediction_value": 0.2,
    },
    motion(SHOWN, 10.0),
    motion(ALSO_SHOWN, 20.0),
]


def expected(weights: dict[str, float]) -> Expected:
    arrived = [Arrived(f"m{n}", body) for n, body in enumerate(BODIES)]
    return expect(GRIDS, arrived, {GROUND: weights})


def observed() -> Observed:
    """An end state with which nothing is wrong: a good micrograph, then a worse one."""
    ledger = Ledger()
    ledger.notes[GROUND] = {0: {"a": 0.5, "b": 0.5}}
    weights = {"a": 0.45 / 0.55, "b": 0.1 / 0.55}
    first = {"a": Entry(weights["a"], 0.9), "b": Entry(weights["b"], 0.2)}
    # What is said of the square counts for the fourth hole; for the other model it has nothing.
    second = {"a": Entry(weights["a"], None), "b": Entry(weights["b"], 0.2)}
    ledger.steps[GROUND] = {
        1: Step({"m2": first}, {1.0}, {SHOWN}),
        2: Step({"m3": second}, {0.0}, {ALSO_SHOWN}),
    }
    ledger.weights[GROUND] = weights
    ledger.statistics[GROUND] = Account(2, 15.0, 50.0)
    ledger.qualities = {("m2", "total_motion"): 1.0, ("m3", "total_motion"): 0.0}
    ledger.registered["motion_correction.registered", SHOWN, True] = 1
    ledger.registered["motion_correction.registered", ALSO_SHOWN, False] = 1
    ledger.sent_values = dict.fromkeys(VALUES, "done")
    ledger.values.update(VALUES)
    scores = expected(weights).scores
    places = {SECOND.uuid: 1, THIRD.uuid: 2}
    ledger.scores = {hole: Score(score, places.get(hole)) for hole, score in scores.items()}
    told = [
        Told(uuid4(), ATLAS, ORDER, {}, order=(SQUARE.uuid,), places=(1,)),
        Told(uuid4(), SQUARE.uuid, ORDER, {}, order=(SECOND.uuid, THIRD.uuid), places=(1, 2)),
    ]
    return Observed(ledger=ledger, told=told)


def counted(seen: Observed) -> dict[str, tuple[int, int, int]]:
    """Lost, doubled and wrong of each line that has any."""
    wanted = expected(observed().ledger.weights[GROUND])
    lines: list[Line] = [
        *accounts(PLAN, wanted, seen.ledger),
        measured_values(wanted, seen.ledger),
        hole_scores(PLAN, wanted, seen.ledger),
        *orders(PLAN, seen),
    ]
    numbers = {one.what: (len(one.lost), len(one.doubled), len(one.wrong)) for one in lines}
    return {what: some for what, some in numbers.items() if any(some)}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert counted(observed()) == {}
    assert next_squares(PLAN, observed().ledger) == {SQUARE.uuid}


def lose_step(ledger: Ledger) -> None:
    del ledger.steps[GROUND][1]
    del ledger.notes[GROUND][0]


def judge_twice(ledger: Ledger) -> None:
    ledger.steps[GROUND][3] = ledger.steps[GROUND][2]
    ledger.statistics[GROUND] = Account(3, 50 / 3, 200 / 3)


def judge_not(ledger: Ledger) -> None:
    ledger.qualities["m2", "total_motion"] = None


def judge_otherwise(ledger: Ledger) -> None:
    ledger.qualities["m3", "total_motion"] = 0.3


def miscount(ledger: Ledger) -> None:
    ledger.statistics[GROUND].count += 1


def weigh_otherwise(ledger: Ledger) -> None:
    ledger.steps[GROUND][2].entries["m3"] = {"a": Entry(0.6, None), "b": Entry(0.4, 0.2)}


def weigh_by_what_nobody_said(ledger: Ledger) -> None:
    ledger.steps[GROUND][2].entries["m3"]["b"] = replace(
        ledger.steps[GROUND][2].entries["m3"]["b"], prediction=0.3
    )


def begin_otherwise(ledger: Ledger) -> None:
    ledger.notes[GROUND][0] = {"a": 0.6, "b": 0.4}


def put_others_in_force(ledger: Ledger) -> None:
    ledger.weights[GROUND] = {"a": 0.5, "b": 0.5}


def publish_twice(ledger: Ledger) -> None:
    ledger.registered["motion_correction.registered", SHOWN, True] = 2


def publish_the_opposite(ledger: Ledger) -> None:
    ledger.registered["motion_correction.registered", ALSO_SHOWN, False] = 0
    ledger.registered["motion_correction.registered", ALSO_SHOWN, True] = 1


def tell_value_twice(ledger: Ledger) -> None:
    ledger.values[VALUES[0]] = 2


def tell_value_never(ledger: Ledger) -> None:
    del ledger.values[VALUES[0]]


def score_otherwise(ledger: Ledger) -> None:
    ledger.scores[FOURTH.uuid] = Score(0.9, None)


def give_one_place_twice(ledger: Ledger) -> None:
    ledger.scores[THIRD.uuid] = replace(ledger.scores[THIRD.uuid], place=1)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        # Its message then counts as one of those before the first model.
        (lose_step, {"steps of weights": (0, 0, 1)}),
        (judge_twice, {"judged once": (0, 1, 1), "registered published": (1, 0, 0)}),
        (judge_not, {"judged once": (1, 0, 1)}),
        (judge_otherwise, {"judged once": (0, 0, 1)}),
        (miscount, {"statistics": (0, 0, 1)}),
        (weigh_otherwise, {"steps of weights": (0, 0, 1), "weights in force": (0, 0, 1)}),
        (weigh_by_what_nobody_said, {"steps of weights": (0, 0, 1)}),
        (begin_otherwise, {"steps of weights": (0, 0, 2)}),
        (put_others_in_force, {"weights in force": (0, 0, 1)}),
        (publish_twice, {"registered published": (0, 1, 0)}),
        (publish_the_opposite, {"registered published": (1, 0, 1)}),
        (tell_value_twice, {"measured values at Athena": (0, 1, 0)}),
        (tell_value_never, {"measured values at Athena": (1, 0, 0)}),
        (score_otherwise, {"hole scores": (0, 0, 1)}),
        (give_one_place_twice, {"hole scores": (0, 0, 1)}),
    ],
)
def test_what_is_amiss_is_found(
    spoil: Callable[[Ledger], None], found: dict[str, tuple[int, int, int]]
) -> None:
    seen = observed()
    spoil(seen.ledger)

    assert counted(seen) == found


@pytest.mark.parametrize(
    ("order", "places", "found"),
    [
        ((THIRD.uuid, SECOND.uuid), (1, 2), {"orders in force": (0, 0, 1)}),
        (
            (SECOND.uuid, SECOND.uuid),
            (1, 2),
            {"orders at Athena": (0, 1, 0), "orders in force": (0, 0, 1)},
        ),
        ((SECOND.uuid, THIRD.uuid), (1, 1), {"orders at Athena": (0, 0, 1)}),
        (
            (SECOND.uuid, THIRD.uuid, SQUARE.uuid),
            (1, 2, 3),
            {"orders at Athena": (0, 0, 1)},
        ),
        # What was collected since needs no new order, nor does one that is half as long.
        ((FOURTH.uuid, SECOND.uuid), (1, 2), {}),
    ],
)
def test_order_that_is_none_is_found(
    order: tuple[UUID, ...], places: tuple[int, ...], found: dict[str, tuple[int, int, int]]
) -> None:
    seen = observed()
    seen.told[1] = replace(seen.told[1], order=order, places=places)

    assert counted(seen) == found


def test_order_that_was_not_told_is_missed() -> None:
    seen = observed()
    seen.told.pop()

    assert counted(seen) == {"orders in force": (1, 0, 0)}
