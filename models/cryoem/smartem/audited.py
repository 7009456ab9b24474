"""What the audit says of a write: what was asked for, and what it changed."""

from typing import Any

from models.audit import Note, told
from models.cryoem.lookup import WORDS
from models.cryoem.messages import Entity
from models.cryoem.smartem.writes import Create, Delete, Link, Register, Step, Update


def note_of(step: Step) -> Note:
    """Return what is written down of a write that was done."""
    match step.write:
        case Create(entity=entity, requests=(request,)):
            uuid = getattr(request, "uuid", None)
            # As in the inbox: no request for an entity has a secret in it.
            (made,) = step.write.asked
            return Note(WORDS[entity], None if uuid is None else str(uuid), None, made)
        case Create(entity=entity, parent=parent, requests=requests):
            # The message holds each of them as it was asked for.
            made = {"parent": str(parent), "count": len(requests), "message": _message(step)}
            return Note(WORDS[entity], None, None, made)
        case Update(entity=entity, uuid=uuid):
            before, after = _different(*step.changed)
            return Note(WORDS[entity], str(uuid), told(before), told(after))
        case Delete(entity=entity, uuid=uuid):
            return Note(WORDS[entity], str(uuid), {"deleted": False}, {"deleted": True})
        case Register(entity=entity, uuid=uuid, count=count):
            return Note(WORDS[entity], str(uuid), None, {"registered": True, "count": count})
        case Link(tile=tile, squares=squares):
            linked = [str(square) for square, _ in squares]
            return Note(WORDS[Entity.TILE], str(tile), None, {"squares": linked})


def _message(step: Step) -> str | None:
    return None if step.message is None else str(step.message.id)


def _different(old: dict[str, Any], new: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    # The place of the message that says it is no news to anybody.
    names = [name for name in new if old.get(name) != new[name] and name != "life_seq"]
    return {name: old.get(name) for name in names}, {name: new[name] for name in names}
