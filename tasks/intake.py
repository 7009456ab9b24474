"""Take messages in: validate, store, then ring (rule 1). For the API and the sensors."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlmodel import Session

from core.clock import utcnow
from core.errors import MessageRejected
from models import inbox
from models.base import DeliveryState
from models.cryoem import intake
from models.cryoem.messages import AnyMessage, parse
from models.inbox import NewMessage, Stored
from tasks.ringing import Bell, Ringable, ring

#: How deep what cannot be processed is kept; a message of ours has four levels.
_DEEPEST = 50


@dataclass(frozen=True)
class Problem:
    """What is wrong with one of the messages."""

    index: int
    fields: tuple[str, ...]
    reason: str
    #: What is wrong with each of the fields, in the same order.
    reasons: tuple[str, ...] = ()


class MessagesRejected(MessageRejected):
    """Some of the messages can never be processed; none was stored."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"message {p.index}: {p.reason}" for p in problems[:5]))


@dataclass(frozen=True)
class Accepted:
    """What is stored now, in the order given."""

    stored: tuple[Stored, ...]
    launched: int


async def accept(
    where: Ringable,
    bodies: Sequence[object],
    *,
    source: str,
    message_ids: Sequence[str | None] | None = None,
    keep_rejected: bool = False,
) -> Accepted:
    """Store messages and see to it that a run works on them.

    Args:
        where: Database, doorbell and launcher.
        bodies: JSON values, one per message.
        source: Who sends; message ids are unique per source.
        message_ids: Ids from outside the bodies; a body's own `message_id` goes before.
        keep_rejected: Keep what can never be processed as a dead message, rather than
            refuse the whole call (for senders who cannot be told).

    Raises:
        MessagesRejected: Some are malformed, and `keep_rejected` is not set.
    """
    given = message_ids or [None] * len(bodies)
    parsed: list[AnyMessage | Problem] = []
    for index, body in enumerate(bodies):
        try:
            parsed.append(parse(body))
        except MessageRejected as error:
            parsed.append(Problem(index, error.fields, str(error), error.reasons))
    problems = [one for one in parsed if isinstance(one, Problem)]
    if problems and not keep_rejected:
        raise MessagesRejected(problems)
    stored, bells = await where.database.write(_store, bodies, parsed, given, source)
    return Accepted(tuple(stored), await ring(where, bells))


def _store(
    session: Session,
    bodies: Sequence[object],
    parsed: Sequence[AnyMessage | Problem],
    message_ids: Sequence[str | None],
    source: str,
) -> tuple[list[Stored], list[Bell]]:
    outside = [given and storable_text(given) for given in message_ids]
    ids = [
        given if isinstance(one, Problem) else one.message_id or given
        for one, given in zip(parsed, outside, strict=True)
    ]
    good = [index for index, one in enumerate(parsed) if not isinstance(one, Problem)]
    rows: list[NewMessage | None] = [None] * len(parsed)
    prepared = intake.prepare(
        session,
        [one for one in parsed if not isinstance(one, Problem)],
        source=source,
        message_ids=[ids[index] for index in good],
    )
    for index, row in zip(good, prepared, strict=True):
        rows[index] = row
    for index, one in enumerate(parsed):
        if isinstance(one, Problem):
            rows[index] = intake.dead(
                as_payload(bodies[index]),
                source=source,
                message_id=ids[index],
                reason=storable_text(one.reason),
            )
    full = [row for row in rows if row is not None]
    stored = inbox.store(session, full, now=utcnow())
    bells = [
        (row.flow, row.key)
        for row, kept in zip(full, stored, strict=True)
        if row.state == DeliveryState.PENDING and not kept.repeated
    ]
    return stored, list(dict.fromkeys(bells))


def as_payload(body: object) -> dict[str, Any]:
    """Return any body as JSON that a database takes: NaN and infinity as text."""
    if isinstance(body, Mapping):
        return {storable_text(str(key)): _storable(value) for key, value in body.items()}
    return {"body": _storable(body)}


def storable_text(text: str) -> str:
    """Return text that a database takes: without NUL, and with whole characters only."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _storable(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        return "nested too deeply"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        return {storable_text(str(k)): _storable(item, depth + 1) for k, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item, depth + 1) for item in value]
    if isinstance(value, str):
        return storable_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return storable_text(json.dumps(value, default=str))


@dataclass(frozen=True)
class Reinjected:
    """What became of a message that was injected again."""

    id: UUID
    state: str
    reason: str | None


async def reinject(where: Ringable, ids: Sequence[UUID]) -> list[Reinjected]:
    """Inject dead or waiting messages again, validated afresh; ids of others are left out."""
    outcomes, bells = await where.database.write(_reinject, ids)
    await ring(where, bells)
    return outcomes


def _reinject(session: Session, ids: Sequence[UUID]) -> tuple[list[Reinjected], list[Bell]]:
    outcomes: list[Reinjected] = []
    bells: list[Bell] = []
    rows = inbox.retryable(session, ids)
    for row in rows:
        try:
            message = parse(row.payload)
        except MessageRejected as error:
            inbox.replace(session, row.id, state=DeliveryState.DEAD, error=str(error))
            outcomes.append(Reinjected(row.id, DeliveryState.DEAD, str(error)))
            continue
        (fresh,) = intake.prepare(
            session, [message], source=row.source, message_ids=[row.message_id]
        )
        inbox.replace(
            session,
            row.id,
            kind=fresh.kind,
            flow=fresh.flow,
            key=fresh.key,
            payload=fresh.payload,
            state=fresh.state,
            waiting_for=fresh.waiting_for,
            error=fresh.error,
            attempts=0,
            available_at=utcnow(),
        )
        outcomes.append(Reinjected(row.id, fresh.state, fresh.error))
        if fresh.state == DeliveryState.PENDING:
            bells.append((fresh.flow, fresh.key))
    return outcomes, list(dict.fromkeys(bells))
