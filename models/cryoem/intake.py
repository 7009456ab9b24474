"""Turn messages from outside into inbox rows: which flow, which grid, or why not."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlmodel import Session

from models.base import DeliveryState
from models.cryoem.messages import (
    AnyMessage,
    EpuFailureMessage,
    HolePrediction,
    MultiHolePrediction,
    SquarePrediction,
)
from models.cryoem.predictions import grids_of, targets_of
from models.inbox import NewMessage

DOMAIN = "cryoem"
#: The deployments that work on the inbox.
AREAS = "register-areas"
PREDICTIONS = "ingest-predictions"

_PREDICTIONS = (SquarePrediction, HolePrediction, MultiHolePrediction)


def prepare(
    session: Session,
    messages: Sequence[AnyMessage],
    *,
    source: str,
    message_ids: Sequence[str | None],
) -> list[NewMessage]:
    """Return the rows to store for valid messages; one query per kind of target."""
    unkeyed = [m for m in messages if isinstance(m, _PREDICTIONS) and m.grid_uuid is None]
    grids = grids_of(session, unkeyed) if unkeyed else {}
    return [
        _prepared(message, source, message_id, grids)
        for message, message_id in zip(messages, message_ids, strict=True)
    ]


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


def _prepared(
    message: AnyMessage, source: str, message_id: str | None, grids: dict[UUID, UUID]
) -> NewMessage:
    payload = message.model_dump(mode="json", exclude_none=True, exclude={"message_id"})
    common = {
        "source": source,
        "domain": DOMAIN,
        "kind": message.event_type,
        "payload": payload,
        "message_id": message_id,
    }
    if isinstance(message, EpuFailureMessage):
        # Nothing to work on: it is stored so that a person sees it.
        return NewMessage(
            **common,
            flow=AREAS,
            key=str(message.grid_uuid or ""),
            state=DeliveryState.DEAD,
            error=f"{message.path}: {message.reason}",
        )
    if not isinstance(message, _PREDICTIONS):
        return NewMessage(**common, flow=AREAS, key=str(message.grid_uuid))
    if message.grid_uuid is not None:
        return NewMessage(**common, flow=PREDICTIONS, key=str(message.grid_uuid))
    targets = targets_of(message)
    known = next((grids[target] for target in targets if target in grids), None)
    if known is not None:
        return NewMessage(**common, flow=PREDICTIONS, key=str(known))
    what = "square" if isinstance(message, SquarePrediction) else "hole"
    return NewMessage(
        **common,
        flow=PREDICTIONS,
        key="",
        state=DeliveryState.WAITING,
        waiting_for=str(targets[0]),
        error=f"waits for {what} {targets[0]}",
    )
