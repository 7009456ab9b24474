"""Make a grid's scores, order and selections anew, from what is known of it now.

First it is read and planned, which may take a second and holds up nobody; then what changed is
written, in one transaction. What comes in between asks for the next refresh (`wanting`).
"""

from collections.abc import Collection, Container
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem.ids import decision_uuid
from domains.cryoem.planners import PlannerName, planner_of
from domains.cryoem.planning import Floats, minutes_left
from domains.cryoem.policy import Policy, Selection, select_holes, select_square
from models.columns import Array, hex_of
from models.cryoem import decisions, hole_scores, orders, session_life, wanting
from models.cryoem.candidates import Brought, Valued, candidates_valued, squares_in_force
from models.cryoem.decision_tables import CurrentPrediction, Decision, Level
from models.cryoem.grid_state import GridRead, read_grid
from models.cryoem.hole_scores import Scores
from models.cryoem.orders import Order
from models.cryoem.told import Told, told
from models.cryoem.valuing import comparable
from models.sql import chunks, one_of


@dataclass(frozen=True)
class Ways:
    """How to refresh, as configured."""

    policy: Policy
    planner: PlannerName
    #: Å that the CTF of a good micrograph reaches.
    ctf_cutoff: float
    #: Holes whose order Athena is told.
    order_holes: int
    #: How long a session is to take.
    session_hours: float


@dataclass(frozen=True)
class Prepared:
    """What a refresh will write, and what it rests on."""

    planner: PlannerName
    wanted_at: datetime | None
    #: None where there are none any more.
    scores: Scores | None
    orders: list[Order]
    #: Squares whose selection of holes does not fit what is predicted now, and what that is.
    stale: list[UUID]
    values: dict[UUID, Valued]


@dataclass(frozen=True)
class Refreshed:
    """What a refresh changed."""

    scores: int
    orders: int
    selections: list[Selection]


def prepare(session: Session, grid: UUID, ways: Ways, *, now: datetime) -> Prepared:
    """Read the grid, score and order its holes; changes nothing."""
    # Before all else: what is asked for from here on may be missed, and so must stay.
    plan = wanting.plan_of(session, grid)
    planner = PlannerName(plan.planner) if plan.planner else ways.planner
    read = read_grid(session, grid, ctf_cutoff=ways.ctf_cutoff)
    if read is None or not read.predicted:
        return Prepared(planner, plan.refresh_wanted_at, None, [], [], {})
    began = session_life.began_at(session, grid)
    minutes = minutes_left(began, now, hours=ways.session_hours)
    planned = planner_of(planner, minutes=minutes)(read.state)
    # Only those that are next: weights change what is selected nearly everywhere, all the time.
    upcoming = set(read.state.square[planned.order[: ways.order_holes]].tolist())
    stale = _stale(session, read, ways.policy.threshold, upcoming)
    return Prepared(
        planner,
        plan.refresh_wanted_at,
        hole_scores.changed(session, grid, hole_scores.scored(read, planned)),
        # Nobody collects after the end; scores still serve who looks at the session later.
        []
        if session_life.has_ended(session, grid)
        else orders.next_orders(grid, read, planned, ways.order_holes),
        [UUID(square) for square in hex_of(read.squares[stale])],
        _values(read, stale),
    )


def carry_out(
    session: Session,
    grid: UUID,
    prepared: Prepared,
    ways: Ways,
    *,
    now: datetime,
    flow_run_id: str | None = None,
) -> Refreshed:
    """Write what a refresh found."""
    if prepared.scores is None:
        hole_scores.forget(session, grid)
    else:
        hole_scores.write(session, grid, prepared.scores, now=now)
    decisions.one_at_a_time(session, grid)
    ordered = orders.tell(
        session,
        grid,
        prepared.orders,
        planner=prepared.planner,
        policy=ways.policy,
        now=now,
        flow_run_id=flow_run_id,
    )
    selected = _select(session, grid, prepared, ways.policy, now, flow_run_id)
    # Last, so that those who ask wait for this row no longer than they must.
    wanting.done(session, grid, seen=prepared.wanted_at, now=now)
    scores = 0 if prepared.scores is None else len(prepared.scores["hole_uuid"])
    return Refreshed(scores, ordered, selected)


def _stale(
    session: Session, read: GridRead, threshold: float, upcoming: Container[int]
) -> list[int]:
    """Return the squares that are not decided over the holes that are predicted now.

    Of those that are upcoming also the squares on which another selection follows.
    """
    chosen = (_value(read) > threshold) & ~read.near_grid_bar
    # Those that wait for more predictions are left to those who take them in.
    concerned = np.zeros(len(read.squares), dtype=np.bool_)
    concerned[read.state.square[read.own > 0]] = True
    among = np.flatnonzero(concerned & ~read.undecided)
    subjects = {
        square: f"foilHoleSelection/{UUID(name)}"
        for square, name in zip(among.tolist(), hex_of(read.squares[among]), strict=True)
    }
    holds = told(session, list(subjects.values()))
    ends = np.searchsorted(read.state.square, np.arange(len(read.squares) + 1))
    found: list[int] = []
    for square, subject in subjects.items():
        part = slice(ends[square], ends[square + 1])
        said = read.own[part] > 0
        selected = chosen[part][said] if square in upcoming else None
        if not _holds(holds.get(subject), read.holes[part][said], selected):
            found.append(square)
    return found


def _value(read: GridRead) -> Floats:
    return np.where(read.own > 1, comparable(read.state.score), read.single)


def _values(read: GridRead, squares: list[int]) -> dict[UUID, Valued]:
    """Return the values in force of the predicted holes on some squares."""
    wanted = np.flatnonzero(np.isin(read.state.square, squares) & (read.own > 0))
    several = "+".join(read.models)
    return {
        UUID(hole): (value, several if own > 1 else read.speaks_for(place))
        for hole, value, own, place in zip(
            hex_of(read.holes[wanted]),
            _value(read)[wanted].tolist(),
            read.own[wanted].tolist(),
            wanted.tolist(),
            strict=True,
        )
    }


def _holds(decided: Told | None, holes: Array, selected: Array | None) -> bool:
    """Return whether a decision is over these holes and, where that is asked, selects these."""
    if decided is None or decided.outcome is None or len(decided.outcome) != len(holes):
        return False
    known = bytes.fromhex("".join(decided.outcome).replace("-", ""))
    before = np.frombuffer(known, dtype=holes.dtype)
    ranked, wanted = np.argsort(before), np.argsort(holes)
    if not np.array_equal(before[ranked], holes[wanted]):
        return False
    if selected is None:
        return True
    values = np.fromiter(decided.outcome.values(), dtype=np.bool_, count=len(holes))
    return np.array_equal(values[ranked], selected[wanted])


def _select(
    session: Session,
    grid: UUID,
    prepared: Prepared,
    policy: Policy,
    now: datetime,
    flow_run_id: str | None,
) -> list[Selection]:
    """Decide squares, and holes on the stale ones, where that is not decided in the same words."""
    brought: Brought = {}
    squares = session.scalars(
        select(col(CurrentPrediction.target_uuid))
        .where(
            col(CurrentPrediction.grid_uuid) == grid, col(CurrentPrediction.level) == Level.SQUARE
        )
        .distinct()
    ).all()
    selections = [
        select_square(owner, predicted, policy)
        for owner, predicted in squares_in_force(session, squares, brought)
    ]
    candidates = candidates_valued(session, prepared.stale, prepared.values, brought)
    if prepared.stale and wanting.wanted_at(session, grid) != prepared.wanted_at:
        # What is predicted may be newer than the values: the refresh to come decides.
        candidates = {}
    for (owner, square), holes in candidates.items():
        selection = select_holes(owner, square, holes, policy)
        if selection is not None:
            selections.append(selection)
    made = _unknown(session, selections)
    decisions.store(session, made, brought, policy, now=now, flow_run_id=flow_run_id)
    return made


def _unknown(session: Session, selections: Collection[Selection]) -> list[Selection]:
    """Return what was not decided before, or was and holds no more.

    The same predictions give the same decision. But the weights of several models change, and
    with them what follows from the same predictions: then a decision is one more, and has an id
    that rests on those before it too.
    """
    known: set[UUID] = set()
    for part in chunks([one.id for one in selections]):
        condition = one_of(session, col(Decision.id), part)
        known |= set(session.scalars(select(col(Decision.id)).where(condition)))
    repeated = [one for one in selections if one.id in known]
    holds = told(session, [_about(one) for one in repeated])
    made = [one for one in selections if one.id not in known]
    for one in repeated:
        before = holds.get(_about(one))
        wanted: dict[str, Any] = {str(area): chosen for area, chosen in one.selected.items()}
        if before is not None and before.outcome != wanted:
            basis = f"{one.id}:{before.last}"
            made.append(
                replace(one, id=decision_uuid(one.grid, one.area, one.decision_type, basis))
            )
    return made


def _about(selection: Selection) -> str:
    return f"{selection.decision_type}/{selection.area}"
