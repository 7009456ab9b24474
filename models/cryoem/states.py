"""Closed sets that people filter by; light to import."""

from enum import StrEnum


class MessageState(StrEnum):
    """How far a message in the inbox is."""

    PENDING = "pending"
    CLAIMED = "claimed"
    WAITING = "waiting"
    DONE = "done"
    DEAD = "dead"


class DecisionState(StrEnum):
    """How far a decision is on its way to Athena."""

    PENDING = "pending"
    CLAIMED = "claimed"
    SENT = "sent"
    SUPERSEDED = "superseded"
    DEAD = "dead"

    @classmethod
    def of(cls, state: str) -> "DecisionState":
        """Return how a state of the outbox is called here."""
        return cls.SENT if state == "done" else cls(state)

    def stored(self) -> str:
        """Return the state of the outbox row."""
        return "done" if self == DecisionState.SENT else self.value
