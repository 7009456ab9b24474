"""Turn messages from outside into inbox rows: which flow, which grid, or why not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, get_args
from uuid import UUID

from sqlmodel import Session

from domains.cryoem import ids
from models import inbox
from models.base import DeliveryState
from models.cryoem.lookup import WORDS, grids_by_any_name, grids_of
from models.cryoem.messages import (
    AcquisitionEvent,
    AnyMessage,
    Entity,
    EpuFailureMessage,
    EpuSessionMessage,
    GridEvent,
    GroupCreate,
    GroupPrediction,
    HolePrediction,
    InstructionEvent,
    Measurement,
    MetricRegistered,
    ModelParameter,
    MultiHolePrediction,
    Reference,
    RefreshPredictions,
    SquarePrediction,
)
from models.inbox import NewMessage
from models.json_text import JsonText

DOMAIN = "cryoem"
#: The deployments that work on the inbox.
AREAS = "register-areas"
PREDICTIONS = "ingest-predictions"
MEASUREMENTS = "ingest-measurements"
SCORES = "refresh-scores"

#: Class of message → the deployment that works on it; those not named tell of entities.
_FLOWS: Final[Mapping[type, str]] = {
    **dict.fromkeys(
        (
            SquarePrediction,
            HolePrediction,
            MultiHolePrediction,
            GroupCreate,
            GroupPrediction,
            ModelParameter,
        ),
        PREDICTIONS,
    ),
    **dict.fromkeys(get_args(Measurement), MEASUREMENTS),
    RefreshPredictions: SCORES,
}
#: Entity → its grid.
Grids = dict[UUID, UUID]
#: How many are remembered between batches before all are forgotten: the holes of five grids.
_REMEMBERED: Final = 200_000

#: What we publish ourselves: on a queue that we share, it may be our own that comes back.
_INFORMATION = (MetricRegistered, InstructionEvent)


def prepare(
    session: Session,
    messages: Sequence[AnyMessage],
    *,
    source: str,
    message_ids: Sequence[str | None],
    known: Grids | None = None,
) -> list[NewMessage]:
    """Return the rows to store for valid messages; one query per kind of target.

    Args:
        session: The transaction.
        messages: What came in.
        source: Who sends.
        message_ids: The senders' own ids.
        known: What was found for earlier messages of one who sees all; what is found now is
            added. Nothing ever moves to another grid, and of what was deleted since, the run
            that works on the message finds out.
    """
    grids = _find_grids(session, messages, {} if known is None else known)
    return [
        _prepared(message, source, message_id, grids)
        for message, message_id in zip(messages, message_ids, strict=True)
    ]


def sessions_of(message: AnyMessage) -> tuple[UUID, ...]:
    """Return the acquisition and the grid that a message names, or that follow from it."""
    grid = _grid_named_by(message)
    match message:
        case AcquisitionEvent():
            above = message.uuid
        case GridEvent():
            above = message.acquisition_uuid
        case EpuSessionMessage(manifest=manifest) if manifest.epu_id or manifest.name:
            above = ids.acquisition_uuid(manifest)
        case _:
            above = None
    return tuple(one for one in (above, grid) if one is not None)


def dead(
    payload: dict[str, Any], *, source: str, message_id: str | None, reason: str
) -> NewMessage:
    """Return the row that keeps a message which can never be processed as it is."""
    return NewMessage(
        source=source,
        domain=DOMAIN,
        kind=str(payload.get("event_type", "unknown"))[:100],
        flow=PREDICTIONS,
        key="",
        payload=payload,
        message_id=message_id,
        state=DeliveryState.DEAD,
        error=reason,
    )


def _prepared(message: AnyMessage, source: str, message_id: str | None, grids: Grids) -> NewMessage:
    payload = JsonText(message.model_dump_json(exclude_none=True, exclude={"message_id"}))
    common = {
        "source": source,
        "domain": DOMAIN,
        "kind": message.event_type,
        "payload": payload,
        "message_id": message_id,
    }
    grid = _grid_named_by(message)
    flow = _FLOWS.get(type(message), AREAS)
    if isinstance(message, EpuFailureMessage):
        # Nothing to work on: it is stored so that a person sees it.
        return NewMessage(
            **common,
            flow=flow,
            key=str(grid or ""),
            state=DeliveryState.DEAD,
            error=f"{message.path}: {message.reason}",
        )
    if _is_information(message):
        return NewMessage(**common, flow=flow, key=str(grid or ""), state=DeliveryState.DONE)
    if grid is None:
        references = _references(message)
        grid = next((grids[one.uuid] for one in references if one.uuid in grids), None)
        if grid is None:
            first = references[0]
            return NewMessage(
                **common,
                flow=flow,
                key="",
                state=DeliveryState.WAITING,
                waiting_for=str(first.uuid),
                error=f"waits for {WORDS[first.entity]} {first.uuid}",
            )
    return NewMessage(**common, flow=flow, key=str(grid))


def _is_information(message: AnyMessage) -> bool:
    return isinstance(message, _INFORMATION) or message.is_ours


def _grid_named_by(message: AnyMessage) -> UUID | None:
    if isinstance(message, AcquisitionEvent | GridEvent):
        return message.grid()
    return getattr(message, "grid_uuid", None)


def _references(message: Any) -> Sequence[Reference]:
    """Return what may tell the grid of a message that does not name it."""
    match message:
        case HolePrediction():
            return (Reference(Entity.HOLE, message.target()),)
        case SquarePrediction():
            return (Reference(Entity.SQUARE, message.target()),)
        case MultiHolePrediction():
            return [Reference(Entity.HOLE, hole) for hole in message.targets()]
        case _:
            return message.references()


def _find_grids(session: Session, messages: Iterable[AnyMessage], known: Grids) -> Grids:
    """Return `known` with the grids of what is named by messages which do not name their grid.

    The first thing that a message names tells its grid; only where that is not known do the
    others matter.
    """
    unkeyed = [
        _references(message)
        for message in messages
        if _grid_named_by(message) is None
        and not _is_information(message)
        and not isinstance(message, EpuFailureMessage)
    ]
    if len(known) > _REMEMBERED:
        known.clear()
    known |= grids_of(session, _by_kind(one[:1] for one in unkeyed if one[0].uuid not in known))
    unknown = [references for references in unkeyed if references[0].uuid not in known]
    if unknown:
        inbox.before_waiting(session)
        known |= grids_by_any_name(session, _by_kind(unknown))
    return known


def _by_kind(named: Iterable[Sequence[Reference]]) -> dict[Entity, set[UUID]]:
    wanted: dict[Entity, set[UUID]] = {}
    for references in named:
        for entity, uuid in references:
            wanted.setdefault(entity, set()).add(uuid)
    return wanted
