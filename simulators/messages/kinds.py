"""A plausible message of each kind that a facility's producers send.

Pure: the same seed makes the same messages. Lengths are ångström.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter, ValidationError

from core.errors import BadInput
from core.ids import derived
from domains.cryoem import ids
from models.cryoem.messages import EVENT_TYPES, AnyMessage, Message, parse
from simulators.messages.world import World, random_uuid

#: What the agent reads from EPU's files has a simulator of its own.
_AGENTS_OWN = "epu."
MODEL = "simulated-model"

#: Event type → class of its messages.
KINDS: Mapping[str, type[Message]] = {
    event_type: one
    for one in get_args(get_args(AnyMessage)[0])
    for event_type in get_args(one.model_fields["event_type"].annotation)
    if event_type in EVENT_TYPES and not event_type.startswith(_AGENTS_OWN)
}

#: A field that names a thing by itself, and those that do so together in its place.
_IN_PLACE_OF = {
    "gridsquare_uuid": ("gridsquare_id",),
    "foilhole_uuid": ("foilhole_id",),
    "foilhole_uuids": ("foilhole_ids",),
    "micrograph_uuid": ("micrograph_id", "foilhole_id"),
    "uuid": ("gridsquare_id", "foilhole_id", "micrograph_id", "id", "acquisition_uuid"),
}
_METRIC_OF = {
    "motion_correction": "motioncorrection",
    "ctf": "ctfmaxresolution",
    "particle_picking": "numparticles",
}

Fields = dict[str, Any]


def make(
    event_type: str, world: World, chosen: Random, given: Mapping[str, Any] | None = None
) -> Message:
    """Return a message.

    Args:
        event_type: One of `KINDS`.
        world: What it is about.
        chosen: Of everything random.
        given: Fields to take in place of random ones.

    Raises:
        MessageRejected: What is given makes no message of its kind.
    """
    fields = _MAKERS[event_type.rpartition(".")[0] if _is_life(event_type) else event_type](
        world, chosen
    )
    given = dict(given or {})
    for field, others in _IN_PLACE_OF.items():
        if given.get(field):
            for other in others:
                fields.pop(other, None)
    if event_type.endswith(".registered") and event_type.partition(".")[0] in _METRIC_OF:
        fields["metric_name"] = _METRIC_OF[event_type.partition(".")[0]]
    message = parse({"event_type": event_type, **fields, **given})
    assert isinstance(message, KINDS[event_type])  # noqa: S101 (event types and classes correspond)
    # The same seed makes the same message, and its id says that it is. Another message of the
    # same seed has another id.
    ident = derived(random_uuid(chosen), message.model_dump_json())
    return message.model_copy(update={"message_id": str(ident)})


def many(
    event_type: str, world: World, chosen: Random, given: Mapping[str, Any], count: int
) -> Iterator[Message]:
    """Give so many messages; errors as `make`."""
    for _ in range(count):
        yield make(event_type, world, chosen, given)


def value_of(event_type: str, field: str, given: str | Sequence[str]) -> Any:
    """Return the value of a field that a person wrote as text, or as several.

    Raises:
        BadInput: It cannot be one.
    """
    info = KINDS[event_type].model_fields[field]
    annotation: Any = info.annotation
    for constraint in info.metadata:
        annotation = Annotated[annotation, constraint]
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    try:
        return adapter.dump_python(adapter.validate_python(given), mode="json")
    except ValidationError as error:
        if not isinstance(given, str):
            raise _refused(field, error) from error
    try:
        # No text then, but a number, a truth value or an object.
        return adapter.dump_python(adapter.validate_json(given), mode="json")
    except ValidationError as error:
        raise _refused(field, error) from error


def _refused(field: str, error: ValidationError) -> BadInput:
    return BadInput(f"{field}: {error.errors(include_url=False)[0]['msg']}.")


def _is_life(event_type: str) -> bool:
    return event_type.endswith((".created", ".updated", ".deleted")) and "instruction" not in (
        event_type
    )


def probability(chosen: Random, around: float | None = None) -> float:
    """Return a prediction, around a quality or anywhere."""
    if around is None:
        return round(chosen.betavariate(2, 1.5), 4)
    return round(min(max(chosen.gauss(around, 0.05), 0.0), 1.0), 4)


def _prediction(chosen: Random) -> Fields:
    return {"prediction_model_name": MODEL, "prediction_value": probability(chosen)}


def _square_prediction(world: World, chosen: Random) -> Fields:
    return {"grid_uuid": str(world.grid), **_square(world, chosen), **_prediction(chosen)}


def _square(world: World, chosen: Random) -> Fields:
    return {"gridsquare_id": world.square(chosen)}


def _hole_prediction(world: World, chosen: Random) -> Fields:
    hole = world.hole(chosen)[1]
    return {"grid_uuid": str(world.grid), "foilhole_id": hole, **_prediction(chosen)}


def _holes(world: World, chosen: Random) -> Fields:
    holes = world.squares[world.square(chosen)]
    some = chosen.sample(holes, max(1, len(holes) * 2 // 3))
    return {"grid_uuid": str(world.grid), "foilhole_ids": some}


def _multi_prediction(world: World, chosen: Random) -> Fields:
    return {**_holes(world, chosen), **_prediction(chosen)}


def _group(world: World, chosen: Random) -> Fields:
    name = chosen.choice(("thin ice", "thick ice", "near the bar", "centre"))
    group = ids.square_uuid(world.grid, world.square(chosen))  # any uuid that stays the same
    return {**_holes(world, chosen), "group_uuid": str(group), "name": name}


def _group_prediction(world: World, chosen: Random) -> Fields:
    group = ids.square_uuid(world.grid, world.square(chosen))
    return {"grid_uuid": str(world.grid), "group_uuid": str(group), **_prediction(chosen)}


def _parameter(world: World, chosen: Random) -> Fields:
    named = str(ids.square_uuid(world.grid, world.square(chosen)))
    fields: Fields = {"grid_uuid": str(world.grid), "prediction_model_name": MODEL}
    if chosen.random() < 0.5:
        coordinate = round(chosen.gauss(0, 2), 4)
        return {
            **fields,
            "group": f"coordinates:{named}",
            "key": chosen.choice("xy"),
            "value": coordinate,
        }
    return {
        **fields,
        "group": "cluster_indices",
        "key": named,
        "value": float(chosen.randrange(8)),
    }


def _refresh(world: World, _chosen: Random) -> Fields:
    return {"grid_uuid": str(world.grid)}


def _micrograph(world: World, chosen: Random) -> Fields:
    return {"grid_uuid": str(world.grid), "micrograph_id": world.micrograph(chosen)[1]}


def _motion(world: World, chosen: Random) -> Fields:
    total = round(chosen.lognormvariate(2.5, 0.6), 2)
    motion = {"total_motion": total, "average_motion": round(total / 40, 3)}
    return {**_micrograph(world, chosen), **motion}


def _ctf(world: World, chosen: Random) -> Fields:
    best = round(2.5 + chosen.lognormvariate(0, 0.6), 2)
    return {**_micrograph(world, chosen), "ctf_max_resolution_estimate": best}


def _picked(world: World, chosen: Random) -> Fields:
    count = max(0, round(chosen.gauss(350, 150)))
    return {**_micrograph(world, chosen), "number_of_particles_picked": count}


def _selected(world: World, chosen: Random) -> Fields:
    count = max(0, round(chosen.gauss(350, 150)))
    good = round(count * chosen.uniform(0.4, 0.85))
    return {
        **_micrograph(world, chosen),
        "number_of_particles_selected": good,
        "number_of_particles_rejected": count - good,
        "selection_distribution": {
            f"class {n}": good // 3 + (good % 3 if n == 1 else 0) for n in (1, 2, 3)
        },
    }


def _registered(world: World, chosen: Random) -> Fields:
    return {**_micrograph(world, chosen), "quality": chosen.random() < 0.7}


def _square_registered(world: World, chosen: Random) -> Fields:
    square = world.square(chosen)
    count = len(world.squares[square])
    return {"grid_uuid": str(world.grid), "gridsquare_id": square, "count": count}


def _instruction(_world: World, chosen: Random) -> Fields:
    return {
        "instruction_id": str(random_uuid(chosen)),
        "session_id": "simulated-session",
        "agent_id": "simulated-agent",
    }


def _acquisition(world: World, chosen: Random) -> Fields:
    return {"uuid": str(world.acquisition or random_uuid(chosen)), "id": "simulated"}


def _grid(world: World, _chosen: Random) -> Fields:
    known = {"acquisition_uuid": str(world.acquisition)} if world.acquisition else {}
    return {"uuid": str(world.grid), **known}


def _tile(world: World, chosen: Random) -> Fields:
    return {"grid_uuid": str(world.grid), "id": str(chosen.randrange(1, 40))}


def _lifecycle_square(world: World, chosen: Random) -> Fields:
    return {"grid_uuid": str(world.grid), **_square(world, chosen)}


def _hole(world: World, chosen: Random) -> Fields:
    square, hole = world.hole(chosen)
    return {"grid_uuid": str(world.grid), "gridsquare_id": square, "foilhole_id": hole}


def _image(world: World, chosen: Random) -> Fields:
    hole, stem = world.micrograph(chosen)
    return {"grid_uuid": str(world.grid), "foilhole_id": hole, "micrograph_id": stem}


#: Event type, or kind of entity for what becomes of entities → what makes the fields.
_MAKERS: Mapping[str, Callable[[World, Random], Fields]] = {
    "gridsquare.model_prediction": _square_prediction,
    "foilhole.model_prediction": _hole_prediction,
    "foilhole.model_multi_prediction": _multi_prediction,
    "foilhole.group_create": _group,
    "foilhole.group_model_prediction": _group_prediction,
    "grid.model_parameter_update": _parameter,
    "refresh.predictions": _refresh,
    "motion_correction.completed": _motion,
    "ctf.completed": _ctf,
    "particle_picking.completed": _picked,
    "particle_selection.completed": _selected,
    "motion_correction.registered": _registered,
    "ctf.registered": _registered,
    "particle_picking.registered": _registered,
    "grid.registered": _refresh,
    "gridsquare.registered": _square_registered,
    "session.ended": _refresh,
    "agent.instruction.created": _instruction,
    "agent.instruction.updated": _instruction,
    "agent.instruction.expired": _instruction,
    "acquisition": _acquisition,
    "grid": _grid,
    "atlas": _refresh,
    "atlas_tile": _tile,
    "gridsquare": _lifecycle_square,
    "gridsquare_lowmag": _lifecycle_square,
    "foilhole": _hole,
    "micrograph": _image,
}
