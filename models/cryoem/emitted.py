"""Messages of ours for the facility's broker: put in the outbox with what caused them (rule 4)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session

from core.clock import utcnow
from core.ids import ATHANOR, derived
from models import outbox

#: The deployment that sends them.
PUBLISH = "publish-messages"
KIND = "rabbitmq.message"


@dataclass(frozen=True)
class Emitted:
    """One message to publish: JSON fields of an event type, and the grid that it concerns."""

    event_type: str
    fields: Mapping[str, Any]
    key: str
    #: What it tells of, such as an inbox message's id. Told again of the same cause, it is the
    #: same message; of another one, a new message even when all its fields are equal.
    cause: str = ""
    #: When the cause came in, for latencies.
    caused_at: datetime | None = None

    @property
    def id(self) -> UUID:
        """The message's id, the same whenever the same is told of the same cause."""
        content = json.dumps(self.fields, sort_keys=True, default=str)
        return derived(ATHANOR, "emitted", self.event_type, self.key, self.cause, content)


def emit(
    session: Session,
    event_type: str,
    fields: Mapping[str, Any],
    key: str,
    *,
    publish: bool,
    cause: str = "",
) -> list[tuple[str, str]]:
    """Put one message in the outbox; what to do with the answer tells `emit_all`."""
    return emit_all(session, [Emitted(event_type, fields, key, cause)], publish=publish)


def emit_all(
    session: Session, messages: Sequence[Emitted], *, publish: bool
) -> list[tuple[str, str]]:
    """Put messages in the outbox; return what to ring once the transaction is committed.

    Args:
        session: The caller's transaction, which also holds what the messages tell of.
        messages: What to publish.
        publish: `settings.rabbitmq.publishes`; without it nothing is done.
    """
    if not publish or not messages:
        return []
    rows = [
        {
            "id": message.id,
            "domain": "cryoem",
            "kind": KIND,
            "flow": PUBLISH,
            "key": message.key,
            "subject": message.event_type,
            "payload": json.loads(
                json.dumps({**message.fields, "event_type": message.event_type}, default=str)
            ),
            "caused_at": message.caused_at,
        }
        for message in messages
    ]
    outbox.put(session, rows, now=utcnow())
    return list(dict.fromkeys((PUBLISH, message.key) for message in messages))
