"""What models tell of a grid besides predictions: stored, or turned into predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from core.errors import MessageRejected
from models import inbox
from models.cryoem import groups, parameters
from models.cryoem.messages import (
    AnyMessage,
    GroupCreate,
    GroupPrediction,
    ModelParameter,
    Prediction,
)
from models.cryoem.predictions import Item
from models.inbox import Missing, Received


@dataclass
class Absorbed:
    """What is left to record, and what is done."""

    predictions: list[Item] = field(default_factory=list)
    done: list[Received] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    #: Flows that have work now, because it waited for a new group.
    woken: set[str] = field(default_factory=set)
    notes: dict[str, int] = field(default_factory=dict)


def absorb(
    session: Session, items: Sequence[tuple[Received, AnyMessage]], grid: UUID, *, now: datetime
) -> Absorbed:
    """Store groups and parameters; return the predictions, those for groups spread over holes.

    Raises:
        MessageRejected: A message is none of a model's, or contradicts what is known.
    """
    absorbed = Absorbed()
    of_groups: list[groups.GroupItem] = []
    of_parameters: list[parameters.ParameterItem] = []
    for message, one in items:
        if isinstance(one, Prediction):
            absorbed.predictions.append((message, one))
        elif isinstance(one, GroupCreate | GroupPrediction):
            of_groups.append((message, one))
        elif isinstance(one, ModelParameter):
            of_parameters.append((message, one))
        else:
            raise MessageRejected(f"event_type: {message.kind} is no prediction")
    if of_groups:
        grouped = groups.apply(session, of_groups)
        new = [str(one) for one in grouped.new]
        # Waking locks others out, so it goes before whatever may have to wait itself.
        absorbed.woken = inbox.wake(session, new, key=str(grid), now=now)
        absorbed.predictions += grouped.predictions
        absorbed.done += grouped.done
        absorbed.waiting += grouped.waiting
        absorbed.notes["groups"] = len(grouped.done)
    if of_parameters:
        done, waiting = parameters.apply(session, of_parameters)
        absorbed.done += done
        absorbed.waiting += waiting
        absorbed.notes["model parameters"] = len(done)
    return absorbed
