"""The planners that a session may choose among, by name."""

from enum import StrEnum

from domains.cryoem.classic import plan_classic
from domains.cryoem.planning import Planner


class PlannerName(StrEnum):
    """What orders a grid's holes."""

    CLASSIC = "classic"
    ADAPTIVE = "adaptive"


def planner_of(name: PlannerName, *, minutes: float) -> Planner:
    """Return the planner of a name, for so many minutes of microscope time."""
    match name:
        case PlannerName.CLASSIC:
            return plan_classic
        case PlannerName.ADAPTIVE:
            from domains.cryoem.adaptive import Adaptive  # noqa: PLC0415 (scipy takes long to load)

            return Adaptive(minutes=minutes)
