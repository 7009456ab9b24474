"""What the end state must be: a model in plain Python of what messages mean.

It takes the messages in the order in which they were stored, which is what decides where two
say different things of the same: the later one counts. Where several predictions speak of one
square or hole, their score by the weights in force counts (`benchmarks.chaos.weights`); how these
came about is checked step by step (`benchmarks.chaos.accounts`). It knows nothing of batches, of
waiting, or of crashes, and shares no code with the product but uuids.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from benchmarks.chaos.weights import METRICS, Ground, Weights, joined, score
from benchmarks.chaos.world import Grid, Square
from domains.cryoem import ids

#: A decision selects what exceeds it (the Athena contract).
THRESHOLD = 0.5

Body = dict[str, Any]
Parameter = tuple[UUID, str, str, str, str]


@dataclass(frozen=True)
class Arrived:
    """A message as it was stored."""

    message_id: str
    body: Body


@dataclass(frozen=True)
class Value:
    """A predicted value, and the message that brought it."""

    message_id: str
    value: float


@dataclass
class Expected:
    """The end state."""

    #: (message, target, model, metric) → value: every prediction that was ever made.
    history: dict[tuple[str, UUID, str, str], float] = field(default_factory=dict)
    #: (target, model, metric) → the latest.
    current: dict[tuple[UUID, str, str], Value] = field(default_factory=dict)
    #: Target → (model, metric) → the latest value, on which decisions rest.
    predicted: dict[UUID, dict[tuple[str, str], float]] = field(default_factory=dict)
    #: Hole → its score by the weights in force.
    scores: dict[UUID, float] = field(default_factory=dict)
    #: Square → whether it is to be collected.
    squares: dict[UUID, bool] = field(default_factory=dict)
    #: Square → which of its predicted holes are to be collected.
    holes: dict[UUID, dict[UUID, bool]] = field(default_factory=dict)
    #: Group → its holes.
    groups: dict[UUID, frozenset[UUID]] = field(default_factory=dict)
    #: (message, name) → value: everything that was ever measured.
    measurements: dict[tuple[str, str], float] = field(default_factory=dict)
    #: Message → the micrograph that it measured.
    measured_on: dict[str, UUID] = field(default_factory=dict)
    #: (micrograph, name) → the latest.
    measured: dict[tuple[UUID, str], Value] = field(default_factory=dict)
    #: (grid, model, metric, group, key) → value, the latest.
    parameters: dict[Parameter, float] = field(default_factory=dict)


def expect(
    grids: Iterable[Grid],
    arrived: Iterable[Arrived],
    weights: Mapping[Ground, Weights] | None = None,
) -> Expected:
    """Return what the messages lead to, all squares, holes and micrographs being known.

    Args:
        grids: What there is.
        arrived: In the order of storage.
        weights: By grid and metric, those that measurements brought about.
    """
    expected = Expected()
    messages = list(arrived)
    # A prediction for a group waits until there is one: groups go first.
    for message in messages:
        if message.body["event_type"] == "foilhole.group_create":
            _take_group(expected, message)
    for message in messages:
        take = _TAKERS.get(message.body["event_type"])
        if take is not None:
            take(expected, message)
    for grid in grids:
        in_force = _in_force(expected, grid, weights or {})
        for square in grid.squares:
            _decide(expected, square, in_force)
    return expected


def _in_force(
    expected: Expected, grid: Grid, weights: Mapping[Ground, Weights]
) -> dict[str, Weights]:
    """Return the weights by metric, with the models that predict and have none yet."""
    targets = [square.uuid for square in grid.squares] + [hole.uuid for hole in grid.holes]
    speakers = {one for target in targets for one in expected.predicted.get(target, ())}
    return {
        metric: joined(
            weights.get((grid.uuid, metric), {}),
            {model for model, name in speakers if name in {metric, ""}},
        )
        for metric in METRICS
    }


def _decide(expected: Expected, square: Square, in_force: Mapping[str, Weights]) -> None:
    own = expected.predicted.get(square.uuid, {})
    if own:
        (value,) = own.values() if len(own) == 1 else [score(in_force, own)]
        expected.squares[square.uuid] = value > THRESHOLD
    for hole in square.holes:
        said = expected.predicted.get(hole.uuid, {})
        found = expected.scores[hole.uuid] = score(in_force, said, own)
        if said:
            # The score takes in what models say of the square; one prediction of the hole does not.
            (value,) = said.values() if len(said) == 1 else [found]
            chosen = expected.holes.setdefault(square.uuid, {})
            chosen[hole.uuid] = value > THRESHOLD and not hole.at_bar


def _predict(expected: Expected, message: Arrived, targets: Iterable[UUID]) -> None:
    body = message.body
    model, metric = body["prediction_model_name"], body.get("metric") or ""
    value = Value(message.message_id, body["prediction_value"])
    for target in targets:
        expected.history[message.message_id, target, model, metric] = value.value
        expected.current[target, model, metric] = value
        expected.predicted.setdefault(target, {})[model, metric] = value.value


def _take_square(expected: Expected, message: Arrived) -> None:
    body = message.body
    _predict(
        expected,
        message,
        [
            UUID(body["gridsquare_uuid"])
            if "gridsquare_uuid" in body
            else ids.square_uuid(UUID(body["grid_uuid"]), body["gridsquare_id"])
        ],
    )


def _take_hole(expected: Expected, message: Arrived) -> None:
    body = message.body
    _predict(
        expected,
        message,
        [
            UUID(body["foilhole_uuid"])
            if "foilhole_uuid" in body
            else ids.hole_uuid(UUID(body["grid_uuid"]), body["foilhole_id"])
        ],
    )


def _take_many(expected: Expected, message: Arrived) -> None:
    _predict(expected, message, [UUID(hole) for hole in message.body["foilhole_uuids"]])


def _take_group(expected: Expected, message: Arrived) -> None:
    body = message.body
    expected.groups[UUID(body["group_uuid"])] = frozenset(map(UUID, body["foilhole_uuids"]))


def _take_group_prediction(expected: Expected, message: Arrived) -> None:
    _predict(expected, message, expected.groups[UUID(message.body["group_uuid"])])


def _take_measured(*names: str) -> Callable[[Expected, Arrived], None]:
    def take(expected: Expected, message: Arrived) -> None:
        micrograph = UUID(message.body["micrograph_uuid"])
        expected.measured_on[message.message_id] = micrograph
        for name in names:
            value = message.body[name]
            expected.measurements[message.message_id, name] = value
            expected.measured[micrograph, name] = Value(message.message_id, value)

    return take


def _take_parameter(expected: Expected, message: Arrived) -> None:
    body = message.body
    key = (
        UUID(body["grid_uuid"]),
        body["prediction_model_name"],
        body.get("metric", ""),
        body.get("group", ""),
        body["key"],
    )
    expected.parameters[key] = body["value"]


_TAKERS: dict[str, Callable[[Expected, Arrived], None]] = {
    "gridsquare.model_prediction": _take_square,
    "foilhole.model_prediction": _take_hole,
    "foilhole.model_multi_prediction": _take_many,
    "foilhole.group_model_prediction": _take_group_prediction,
    "motion_correction.completed": _take_measured("total_motion", "average_motion"),
    "ctf.completed": _take_measured("ctf_max_resolution_estimate"),
    "particle_picking.completed": _take_measured("number_of_particles_picked"),
    "particle_selection.completed": _take_measured(
        "number_of_particles_selected", "number_of_particles_rejected"
    ),
    "grid.model_parameter_update": _take_parameter,
}
