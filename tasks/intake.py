"""Take messages in: validate, store, then ring (rule 1). For the API and the sensors."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any
from uuid import UUID

from sqlmodel import Session

from core.clock import utcnow
from core.errors import MessageRejected
from core.metrics import OTHER
from models import audit, inbox
from models.base import DeliveryState
from models.cryoem import intake
from models.cryoem.messages import AnyMessage, EpuFailureMessage, parse, parse_json
from models.inbox import InboxMessage, NewMessage, Stored
from models.visibility import claims
from tasks import measuring
from tasks.dead_letters import dead_letters
from tasks.ringing import Bell, Ringable, Ringer, ring

#: How deep what cannot be processed is kept; a message of ours has four levels.
_DEEPEST = 50
#: Columns of a message that follow from its validation.
_AFRESH = ("kind", "flow", "key", "payload", "state", "waiting_for", "error")


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
    also: Callable[[Session], None] | None = None,
    ringer: Ringer | None = None,
    known: intake.Grids | None = None,
) -> Accepted:
    """Store messages and see to it that a run works on them.

    Args:
        where: Database, doorbell and launcher.
        bodies: JSON values, one per message; `bytes` are the text of one.
        source: Who sends; message ids are unique per source.
        message_ids: Ids from outside the bodies; a body's own `message_id` goes before.
        keep_rejected: Keep what can never be processed as a dead message, rather than
            refuse the whole call (for senders who cannot be told).
        also: Done first in the same transaction; what it raises undoes everything.
        ringer: Rings in the background; without it, rings are waited for.
        known: As `models.cryoem.intake.prepare` has it.

    Raises:
        MessagesRejected: Some are malformed, and `keep_rejected` is not set.
    """
    given = message_ids or [None] * len(bodies)
    parsed: list[AnyMessage | Problem] = []
    for index, body in enumerate(bodies):
        try:
            parsed.append(parse_json(body) if isinstance(body, bytes) else parse(body))
        except MessageRejected as error:
            parsed.append(Problem(index, error.fields, str(error), error.reasons))
    problems = [one for one in parsed if isinstance(one, Problem)]
    kinds = [OTHER if isinstance(one, Problem) else one.event_type for one in parsed]
    if problems and not keep_rejected:
        measuring.refused(kinds)
        raise MessagesRejected(problems)
    began = perf_counter()
    kept = await where.database.write(_store, bodies, parsed, given, source, also, known)
    measuring.stored(
        kept.rows,
        kinds,
        kept.stored,
        source=source,
        received_at=kept.received_at,
        seconds=perf_counter() - began,
    )
    launched = 0
    if ringer is None:
        launched = await ring(where, kept.bells)
    else:
        ringer.ring(kept.bells)
    _tell_of_dead(where, parsed, kept.stored)
    return Accepted(tuple(kept.stored), launched)


@dataclass(frozen=True)
class _Kept:
    """What one transaction stored."""

    rows: list[NewMessage]
    stored: list[Stored]
    bells: list[Bell]
    received_at: datetime


def _tell_of_dead(
    where: Ringable, parsed: Sequence[AnyMessage | Problem], stored: Sequence[Stored]
) -> None:
    dead = [
        (kept, one)
        for one, kept in zip(parsed, stored, strict=True)
        if isinstance(one, Problem | EpuFailureMessage) and not kept.repeated
    ]
    if dead and where.launcher:
        kept, first = dead[0]
        kind = "rejected" if isinstance(first, Problem) else first.event_type
        where.launcher.emit(
            *dead_letters(len(dead), message_id=str(kept.id), kind=kind, reason=first.reason)
        )


def _store(
    session: Session,
    bodies: Sequence[object],
    parsed: Sequence[AnyMessage | Problem],
    message_ids: Sequence[str | None],
    source: str,
    also: Callable[[Session], None] | None,
    known: intake.Grids | None,
) -> _Kept:
    if also is not None:
        also(session)
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
        known=known,
    )
    claims.admit(
        session,
        prepared,
        [intake.sessions_of(one) for one in parsed if not isinstance(one, Problem)],
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
    received_at = utcnow()
    stored = inbox.store(session, full, now=received_at)
    _write_down(session, full, stored, source)
    bells = [
        (row.flow, row.key)
        for row, kept in zip(full, stored, strict=True)
        if row.state == DeliveryState.PENDING and not kept.repeated
    ]
    return _Kept(full, stored, list(dict.fromkeys(bells)), received_at)


def _write_down(
    session: Session, rows: Sequence[NewMessage], stored: Sequence[Stored], source: str
) -> None:
    """Have the audit tell what came in; their rows in the inbox have the whole of it."""
    new = [row for row, kept in zip(rows, stored, strict=True) if not kept.repeated]
    if not new or audit.current_trail() is None:
        return
    kinds = dict(Counter(row.kind for row in new))
    ident = next(kept.id for kept in stored if not kept.repeated) if len(new) == 1 else None
    audit.note(session, "inbox_message", ident, after={"source": source, "kinds": kinds})


def as_payload(body: object) -> dict[str, Any]:
    """Return any body as JSON that a database takes: NaN and infinity as text."""
    if isinstance(body, bytes):
        text = body.decode("utf-8", "replace")
        try:
            return as_payload(json.loads(text))
        except (ValueError, RecursionError):
            return {"body": storable_text(text)}
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
    rows = inbox.retryable(session, ids)
    valid: list[tuple[InboxMessage, AnyMessage]] = []
    outcomes: dict[UUID, Reinjected] = {}
    for row in rows:
        try:
            valid.append((row, parse(row.payload)))
        except MessageRejected as error:
            outcomes[row.id] = Reinjected(row.id, DeliveryState.DEAD, str(error))
    refused = [{"id": one.id, "error": one.reason} for one in outcomes.values()]
    inbox.replace(session, refused, state=DeliveryState.DEAD)
    prepared = intake.prepare(
        session,
        [message for _, message in valid],
        source="",  # rows keep the source that they have, and the id that it gave them
        message_ids=[None] * len(valid),
    )
    claims.admit(session, prepared, [intake.sessions_of(message) for _, message in valid])
    changed: list[dict[str, Any]] = []
    bells: list[Bell] = []
    for (row, _), fresh in zip(valid, prepared, strict=True):
        changed.append({"id": row.id, **{name: getattr(fresh, name) for name in _AFRESH}})
        outcomes[row.id] = Reinjected(row.id, fresh.state, fresh.error)
        if fresh.state == DeliveryState.PENDING:
            bells.append((fresh.flow, fresh.key))
    inbox.replace(session, changed, attempts=0, available_at=utcnow())
    for row in rows:
        before = {"state": row.state, "error": row.error}
        after = {"state": outcomes[row.id].state, "error": outcomes[row.id].reason}
        audit.note(session, "inbox_message", row.id, before=before, after=after)
    return [outcomes[row.id] for row in rows], list(dict.fromkeys(bells))
