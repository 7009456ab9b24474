"""What the facility's broker is told of writes: the messages that SmartEM publishes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from models.cryoem.emitted import Emitted
from models.cryoem.messages import OURS, Entity
from models.cryoem.smartem.writes import Create, Delete, Link, Register, Step, Update

#: Kind → the message's field and the field of the entity that it repeats.
_FIELDS: Final[Mapping[Entity, Mapping[str, str]]] = {
    Entity.ACQUISITION: {},
    Entity.GRID: {"acquisition_uuid": "acquisition_uuid"},
    Entity.ATLAS: {"id": "atlas_id", "grid_uuid": "grid_uuid"},
    Entity.TILE: {"id": "tile_id", "atlas_uuid": "atlas_uuid"},
    Entity.SQUARE: {"grid_uuid": "grid_uuid", "gridsquare_id": "gridsquare_id"},
    Entity.HOLE: {
        "foilhole_id": "foilhole_id",
        "gridsquare_uuid": "gridsquare_uuid",
        "gridsquare_id": "gridsquare_id",
    },
    Entity.MICROGRAPH: {
        "foilhole_uuid": "foilhole_uuid",
        "foilhole_id": "foilhole_id",
        "micrograph_id": "micrograph_id",
    },
}


def told(steps: Sequence[Step]) -> Iterator[Emitted]:
    """Yield the messages that tell of writes which were done."""
    for one in steps:
        match one.write:
            case Create() as write:
                yield from _created(one, write)
            case Update(entity=entity, request=request):
                for shown in one.result.shown:
                    yield _of(one, entity, "updated", shown, lowmag=_is_lowmag(request))
            case Delete(entity=entity, uuid=uuid):
                yield _message(one, f"{entity}.deleted", {"uuid": uuid, "publisher": OURS})
            case Register() as write:
                yield _registered(one, write)
            case Link():
                pass


def _created(step: Step, write: Create) -> Iterator[Emitted]:
    for request, shown in zip(write.requests, step.result.shown, strict=True):
        yield _of(step, write.entity, "created", shown, lowmag=_is_lowmag(request))
        for tile in shown.get("tiles", ()):
            yield _of(step, Entity.TILE, "created", tile)


def _registered(step: Step, write: Register) -> Emitted:
    if write.entity is Entity.GRID:
        return _message(step, "grid.registered", {"grid_uuid": write.uuid})
    fields = {"uuid": write.uuid, "grid_uuid": step.grid, "count": write.count}
    return _message(step, "gridsquare.registered", fields)


def _is_lowmag(request: Any) -> bool:
    return bool(getattr(request, "lowmag", False))


def _of(
    step: Step, entity: Entity, event: str, shown: Mapping[str, Any], *, lowmag: bool = False
) -> Emitted:
    fields = {"uuid": shown["uuid"], "publisher": OURS}
    fields |= {name: shown[of] for name, of in _FIELDS[entity].items()}
    return _message(step, f"{entity}{'_lowmag' if lowmag else ''}.{event}", fields)


def _message(step: Step, event_type: str, fields: Mapping[str, Any]) -> Emitted:
    assert step.message is not None  # noqa: S101 (done)
    said = {name: value for name, value in fields.items() if value is not None and value != ""}
    # What belongs to no grid, as an acquisition, is published under its own id.
    key = str(step.grid or fields["uuid"])
    return Emitted(event_type, said, key, str(step.message.id), step.message.received_at)
