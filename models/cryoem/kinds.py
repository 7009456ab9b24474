"""The kinds that metrics tell apart; whatever else is sent to us counts as one more."""

from models.cryoem import decisions, emitted
from models.cryoem.messages import EVENT_TYPES

#: Event types of all messages that we take.
MESSAGE_KINDS = tuple(sorted(EVENT_TYPES))
#: What leaves through the outbox.
OUTBOX_KINDS = (decisions.KIND, emitted.KIND)
