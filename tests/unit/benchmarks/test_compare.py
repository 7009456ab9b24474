"""That the chaos run's comparison sees what is lost, doubled and wrong."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from benchmarks.chaos.compare import compare
from benchmarks.chaos.ledger import Score
from benchmarks.chaos.lines import Line, table
from benchmarks.chaos.observe import Observed, Told
from benchmarks.chaos.plan import Plan, Planned
from benchmarks.chaos.reference import Arrived, Value, expect
from benchmarks.chaos.world import make_grids

GRIDS = make_grids(1, grids=1, squares=1, holes=1)
(SQUARE,) = GRIDS[0].squares
DECISION = uuid4()
BODY = {
    "event_type": "gridsquare.model_prediction",
    "gridsquare_uuid": str(SQUARE.uuid),
    "prediction_model_name": "net",
    "prediction_value": 0.9,
}
PLAN = Plan(1, GRIDS, (Planned("good", b"{}"), Planned("bad", b"{", "not JSON")), (), ())


def told(ident: UUID, *, selected: bool) -> Told:
    """A decision on the square that rests on the good message."""
    return Told(
        ident,
        SQUARE.uuid,
        "gridSquareSelection",
        {SQUARE.uuid: selected},
        {SQUARE.uuid: "good"},
    )


def observed() -> Observed:
    """An end state with which nothing is wrong."""
    seen = Observed()
    seen.states = {"good": ["done"], "bad": ["dead"]}
    seen.reasons = {"bad": "is not JSON"}
    seen.arrived = [Arrived("good", BODY)]
    seen.history["good", SQUARE.uuid, "net", "", 0.9] = 1
    seen.current = {(SQUARE.uuid, "net", ""): Value("good", 0.9)}
    seen.outbox = {DECISION: "done"}
    seen.told = [told(DECISION, selected=True)]
    seen.areas_at_athena = 2
    return seen


def counted(seen: Observed) -> dict[str, tuple[int, int, int]]:
    """Lost, doubled and wrong of each line that has any."""
    lines: list[Line] = compare(PLAN, expect(GRIDS, observed().arrived), seen)
    assert table(lines)
    numbers = {one.what: (len(one.lost), len(one.doubled), len(one.wrong)) for one in lines}
    return {what: some for what, some in numbers.items() if any(some)}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert counted(observed()) == {}


def lose_message(seen: Observed) -> None:
    del seen.states["good"]


def store_twice(seen: Observed) -> None:
    seen.states["good"].append("done")


def bury_good(seen: Observed) -> None:
    seen.states["good"] = ["dead"]


def forget_reason(seen: Observed) -> None:
    seen.reasons["bad"] = ""


def record_twice(seen: Observed) -> None:
    seen.history["good", SQUARE.uuid, "net", "", 0.9] = 2


def keep_older(seen: Observed) -> None:
    seen.current[SQUARE.uuid, "net", ""] = Value("good", 0.1)


def decide_twice(seen: Observed) -> None:
    seen.told *= 2


def never_tell(seen: Observed) -> None:
    seen.told.clear()


def leave_unsent(seen: Observed) -> None:
    seen.outbox[uuid4()] = "pending"


def end_with_another(seen: Observed) -> None:
    other = uuid4()
    seen.outbox[other] = "done"
    seen.told.append(told(other, selected=False))


def name_another_basis(seen: Observed) -> None:
    seen.told[0].basis[SQUARE.uuid] = "bad"


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lose_message, {"messages": (1, 0, 0)}),
        (store_twice, {"messages": (0, 1, 0)}),
        (bury_good, {"messages": (0, 0, 1)}),
        (forget_reason, {"dead letters": (1, 0, 0)}),
        (record_twice, {"predictions": (0, 1, 0)}),
        (keep_older, {"current predictions": (0, 0, 1)}),
        (decide_twice, {"decisions at Athena": (0, 1, 0)}),
        (never_tell, {"decisions at Athena": (1, 0, 0), "squares in force": (1, 0, 0)}),
        (leave_unsent, {"decisions at Athena": (0, 0, 1)}),
        (
            end_with_another,
            {"squares in force": (0, 0, 1), "decisions that follow": (0, 0, 1)},
        ),
        (name_another_basis, {"decisions that follow": (0, 0, 1)}),
    ],
)
def test_what_is_amiss_is_found(
    spoil: Callable[[Observed], None], found: dict[str, tuple[int, int, int]]
) -> None:
    seen = observed()
    spoil(seen)

    assert counted(seen) == found


@pytest.mark.parametrize(
    ("place", "found"),
    [(None, {}), (1, {"hole selections in force": (0, 0, 1), "orders in force": (2, 0, 0)})],
)
def test_older_weights_may_have_decided_on_holes_that_are_not_next(
    place: int | None, found: dict[str, tuple[int, int, int]]
) -> None:
    (hole,) = SQUARE.holes
    body = {
        "event_type": "foilhole.model_prediction",
        "foilhole_uuid": str(hole.uuid),
        "prediction_value": 0.9,
    }
    arrived = [
        Arrived("good", BODY),
        *(Arrived(model, {**body, "prediction_model_name": model}) for model in ("a", "b")),
    ]
    wanted = expect(GRIDS, arrived)
    other = uuid4()
    seen = observed()
    for model in ("a", "b"):
        seen.history[model, hole.uuid, model, "", 0.9] = 1
        seen.current[hole.uuid, model, ""] = Value(model, 0.9)
    seen.outbox[other] = "done"
    basis = {hole.uuid: "b"}
    seen.told.append(Told(other, SQUARE.uuid, "foilHoleSelection", {hole.uuid: False}, basis))
    seen.ledger.scores[hole.uuid] = Score(wanted.scores[hole.uuid], place)

    lines = compare(PLAN, wanted, seen)

    numbers = {one.what: (len(one.lost), len(one.doubled), len(one.wrong)) for one in lines}
    assert {what: some for what, some in numbers.items() if any(some)} == found
