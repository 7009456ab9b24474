"""What is sent: every type of the contract, with duplicates and malformed ones, shuffled.

All of it follows from the seed; ids and bodies are the same whenever and however often they
are sent.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.chaos.world import Grid, make_grids
from core.ids import derived

#: Shares of all messages.
DUPLICATES = 0.05
MALFORMED = 0.01

_MODELS = ("resnet-a", "resnet-b")
_METRICS = ("motioncorrection", "ctfmaxresolution", "numparticles")
_GROUPS_PER_GRID = 4

Body = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """One message to publish."""

    message_id: str
    content: bytes
    #: Why it can never be processed; None when it can.
    fault: str | None = None


@dataclass(frozen=True)
class Plan:
    """Everything that is sent in one run."""

    seed: int
    grids: tuple[Grid, ...]
    #: Each message once.
    messages: tuple[Planned, ...]
    #: In order of publishing, duplicates among them.
    stream: tuple[Planned, ...]
    #: What the agent posts, each when so many of the stream have been published.
    entities: tuple[tuple[int, Body], ...]


def make_plan(
    seed: int, *, messages: int, grids: int = 4, squares: int = 25, holes: int = 20
) -> Plan:
    """Return the plan of a seed: `messages` are all that are published, duplicates included."""
    dice = Random(seed)
    world = make_grids(seed, grids=grids, squares=squares, holes=holes)
    doubled, bad = round(messages * DUPLICATES), round(messages * MALFORMED)
    unique = [*_groups(dice, world)]
    kinds, weights = zip(*_KINDS, strict=True)
    while len(unique) < messages - doubled - bad:
        unique.append(dice.choices(kinds, weights)[0](dice, dice.choice(world)))
    planned = [
        Planned(f"{seed}-{number}", json.dumps(body).encode()) for number, body in enumerate(unique)
    ]
    faults = list(_FAULTS.items())
    for number in range(bad):
        name, spoil = faults[number % len(faults)]
        body = _hole(dice, dice.choice(world))
        planned.append(Planned(f"{seed}-bad-{number}", spoil(body), name))
    stream = [*planned, *dice.sample(planned, doubled)]
    dice.shuffle(stream)
    return Plan(seed, world, tuple(planned), tuple(stream), _late(dice, world, len(stream)))


def _late(dice: Random, world: tuple[Grid, ...], length: int) -> tuple[tuple[int, Body], ...]:
    """Spread what the agent says over the first two thirds of the stream, in any order."""
    said = [body for grid in world for body in grid.said_by_agent()]
    dice.shuffle(said)
    moments = sorted(dice.randrange(length * 2 // 3) for _ in said)
    return tuple(zip(moments, said, strict=True))


def _groups(dice: Random, world: tuple[Grid, ...]) -> list[Body]:
    """Return the making of every group: so few that chance might leave some out."""
    return [
        {
            "event_type": "foilhole.group_create",
            "grid_uuid": str(grid.uuid),
            "group_uuid": _group(grid, number),
            "name": f"group {number}",
            "foilhole_uuids": [str(hole.uuid) for hole in dice.sample(grid.holes, 8)],
        }
        for grid in world
        for number in range(_GROUPS_PER_GRID)
    ]


def _group(grid: Grid, number: int) -> str:
    return str(derived(grid.uuid, "chaos group", number))


def _predicted(dice: Random) -> Body:
    metric = dice.choice((None, None, *_METRICS))
    return {
        "prediction_model_name": dice.choice(_MODELS),
        "prediction_value": round(dice.random(), 6),
        **({} if metric is None else {"metric": metric}),
    }


def _square(dice: Random, grid: Grid) -> Body:
    square = dice.choice(grid.squares)
    by_uuid = {"gridsquare_uuid": str(square.uuid)}
    by_id = {"grid_uuid": str(grid.uuid), "gridsquare_id": square.square_id}
    return {
        "event_type": "gridsquare.model_prediction",
        **dice.choice((by_uuid, by_id)),
        **_predicted(dice),
    }


def _hole(dice: Random, grid: Grid) -> Body:
    hole = dice.choice(grid.holes)
    by_uuid = {"foilhole_uuid": str(hole.uuid)}
    by_id = {"grid_uuid": str(grid.uuid), "foilhole_id": hole.hole_id}
    return {
        "event_type": "foilhole.model_prediction",
        **dice.choice((by_uuid, by_id)),
        **_predicted(dice),
    }


def _many_holes(dice: Random, grid: Grid) -> Body:
    holes = dice.sample(grid.holes, min(len(grid.holes), dice.randint(2, 30)))
    return {
        "event_type": "foilhole.model_multi_prediction",
        "foilhole_uuids": [str(hole.uuid) for hole in holes],
        **_predicted(dice),
    }


def _predicted_group(dice: Random, grid: Grid) -> Body:
    return {
        "event_type": "foilhole.group_model_prediction",
        "group_uuid": _group(grid, dice.randrange(_GROUPS_PER_GRID)),
        **_predicted(dice),
    }


def _motion(dice: Random, grid: Grid) -> Body:
    return {
        "event_type": "motion_correction.completed",
        "micrograph_uuid": str(dice.choice(grid.micrographs)),
        "total_motion": round(dice.uniform(5, 60), 3),
        "average_motion": round(dice.uniform(0.1, 2), 3),
    }


def _ctf(dice: Random, grid: Grid) -> Body:
    return {
        "event_type": "ctf.completed",
        "micrograph_uuid": str(dice.choice(grid.micrographs)),
        "ctf_max_resolution_estimate": round(dice.uniform(2.5, 9), 3),
    }


def _picking(dice: Random, grid: Grid) -> Body:
    return {
        "event_type": "particle_picking.completed",
        "micrograph_uuid": str(dice.choice(grid.micrographs)),
        "number_of_particles_picked": dice.randint(0, 600),
    }


def _selection(dice: Random, grid: Grid) -> Body:
    return {
        "event_type": "particle_selection.completed",
        "micrograph_uuid": str(dice.choice(grid.micrographs)),
        "number_of_particles_selected": dice.randint(0, 500),
        "number_of_particles_rejected": dice.randint(0, 100),
        "selection_distribution": {"good": 0.75, "bad": 0.25},
    }


def _parameter(dice: Random, grid: Grid) -> Body:
    hole = dice.choice(grid.holes)
    coordinate = {
        "group": f"coordinates:{hole.uuid}",
        "key": dice.choice("xy"),
        "value": round(dice.uniform(-3, 3), 4),
    }
    cluster = {
        "group": "cluster_indices",
        "key": str(hole.uuid),
        "value": dice.randrange(8),
    }
    return {
        "event_type": "grid.model_parameter_update",
        "grid_uuid": str(grid.uuid),
        "prediction_model_name": dice.choice(_MODELS),
        **dice.choice((coordinate, cluster)),
    }


def _refresh(dice: Random, grid: Grid) -> Body:  # noqa: ARG001 (as the others)
    return {"event_type": "refresh.predictions", "grid_uuid": str(grid.uuid)}


def _life(dice: Random, grid: Grid) -> Body:
    square = dice.choice(grid.squares)
    hole = dice.choice(square.holes)
    return dice.choice(
        (
            {"event_type": "grid.registered", "grid_uuid": str(grid.uuid)},
            {"event_type": "gridsquare.registered", "uuid": str(square.uuid)},
            {
                "event_type": "gridsquare.created",
                "grid_uuid": str(grid.uuid),
                "gridsquare_id": square.square_id,
            },
            {
                "event_type": "foilhole.created",
                "uuid": str(hole.uuid),
                "foilhole_id": hole.hole_id,
                "gridsquare_uuid": str(square.uuid),
            },
        )
    )


#: How often each kind comes, as relative weights.
_KINDS: list[tuple[Callable[[Random, Grid], Body], int]] = [
    (_hole, 45),
    (_square, 20),
    (_many_holes, 3),
    (_predicted_group, 2),
    (_motion, 7),
    (_ctf, 7),
    (_picking, 7),
    (_selection, 4),
    (_parameter, 5),
    (_life, 3),
    (_refresh, 1),
]


def _changed(body: Body, **changes: Any) -> bytes:
    return json.dumps({**body, **changes}).encode()


def _without(body: Body, field: str) -> bytes:
    return json.dumps({name: value for name, value in body.items() if name != field}).encode()


#: Ways in which a message can be one that can never be processed.
_FAULTS: dict[str, Callable[[Body], bytes]] = {
    "not JSON": lambda body: json.dumps(body).encode()[:-2],
    "unknown type": lambda body: _changed(body, event_type="foilhole.horoscope"),
    "NaN": lambda body: _changed(body, prediction_value=float("nan")),
    "out of range": lambda body: _changed(body, prediction_value=1.5),
    "missing field": lambda body: _without(body, "prediction_model_name"),
}
