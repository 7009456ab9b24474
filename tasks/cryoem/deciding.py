"""What follows from decisions: how many there are, and who can send them."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlmodel import Session

from domains.cryoem.policy import Selection
from models.cryoem import athena
from models.cryoem.decisions import SUBMIT
from tasks.ringing import Bell


@dataclass(frozen=True)
class Decided:
    """How many decisions were made, and what to ring for them after the commit."""

    made: int = 0
    bells: tuple[Bell, ...] = ()
    selections: tuple[Selection, ...] = ()


def decided(session: Session, made: Collection[Selection]) -> Decided:
    """Return what follows; nobody is rung for a grid that Athena does not know.

    Whoever makes a grid or its areas known rings for what waits.
    """
    grids = athena.registered_among(session, {one.grid for one in made})
    return Decided(len(made), tuple((SUBMIT, str(grid)) for grid in sorted(grids)), tuple(made))
