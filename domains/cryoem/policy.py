"""From predictions to decisions: pure, so that anyone can check a decision by hand.

Source of the mapping and its defaults: the Athena contract (threshold 0.5, plugin
`custom`, decided by `smartem_ml_model`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Literal
from uuid import UUID

from domains.cryoem.ids import decision_uuid


@dataclass(frozen=True)
class Policy:
    """What may be configured."""

    threshold: float = 0.5
    plugin_type: str = "custom"
    decided_by: str = "smartem_ml_model"


@dataclass(frozen=True)
class Predicted:
    """The prediction in force for one square or hole; value in 0..1."""

    area: UUID
    value: float
    model: str
    #: The message that brought it.
    message: UUID


@dataclass(frozen=True)
class Candidate:
    """A hole of a square, with its prediction when there is one."""

    hole: UUID
    near_grid_bar: bool
    predicted: Predicted | None


@dataclass(frozen=True)
class Selection:
    """A decision: which of the areas to collect, and why."""

    id: UUID
    grid: UUID
    area: UUID
    decision_type: Literal["gridSquareSelection", "foilHoleSelection"]
    selected: dict[UUID, bool]
    #: Area → the message whose prediction of it the decision rests on.
    basis: dict[UUID, UUID]
    details: str
    #: The predictions in force that it rests on.
    predicted: tuple[Predicted, ...] = ()


def select_square(grid: UUID, square: Predicted, policy: Policy) -> Selection:
    """Select the square when its prediction exceeds the threshold."""
    return Selection(
        id=decision_uuid(grid, square.area, "gridSquareSelection", str(square.message)),
        grid=grid,
        area=square.area,
        decision_type="gridSquareSelection",
        selected={square.area: square.value > policy.threshold},
        basis={square.area: square.message},
        details=f"{square.model}: {square.value:.6g} (threshold {policy.threshold:g})",
        predicted=(square,),
    )


def is_complete(candidates: Sequence[Candidate]) -> bool:
    """Return whether each hole that may be collected has a prediction."""
    return all(hole.predicted is not None for hole in candidates if not hole.near_grid_bar)


def select_holes(
    grid: UUID, square: UUID, candidates: Sequence[Candidate], policy: Policy
) -> Selection | None:
    """Select among a square's predicted holes, in one decision for the whole square.

    One decision, because a microscope that is told of one hole at a time acts on the first
    and blocks the rest. Holes near a grid bar are never selected. None without predictions.
    """
    predicted = {c.hole: c.predicted for c in candidates if c.predicted is not None}
    if not predicted:
        return None
    at_bar = {c.hole for c in candidates if c.near_grid_bar}
    basis = {hole: p.message for hole, p in predicted.items()}
    chosen = {
        hole: p.value > policy.threshold and hole not in at_bar for hole, p in predicted.items()
    }
    models = ", ".join(sorted({p.model for p in predicted.values()}))
    pairs = sorted(hole.bytes + message.bytes for hole, message in basis.items())
    digest = sha256(b"".join(pairs)).hexdigest()
    return Selection(
        id=decision_uuid(grid, square, "foilHoleSelection", digest),
        grid=grid,
        area=square,
        decision_type="foilHoleSelection",
        selected=chosen,
        basis=basis,
        details=(
            f"{models}: {sum(chosen.values())} of {len(chosen)} holes above {policy.threshold:g}"
            + (
                f", {len(at_bar & set(chosen))} near a grid bar left out"
                if at_bar & set(chosen)
                else ""
            )
        ),
        predicted=tuple(sorted(predicted.values(), key=lambda one: one.area)),
    )


def area_ids(wanted: Sequence[int | None], taken: set[int]) -> list[int]:
    """Return an Athena area id for each wanted one: it when it is a free int32, else the next free.

    Ids are unique within a session; 0 is left out, which a service may take for "none".
    Those who can keep theirs choose first.
    """
    used = set(taken)
    kept: list[int | None] = []
    for natural in wanted:
        if natural is None or not 0 < natural <= _INT32_MAX or natural in used:
            kept.append(None)
            continue
        kept.append(natural)
        used.add(natural)
    following = (ident for ident in count(1) if ident not in used)
    return [next(following) if ident is None else ident for ident in kept]


_INT32_MAX = 2**31 - 1
