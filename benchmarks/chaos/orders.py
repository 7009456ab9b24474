"""Scores, orders and measured values, held against what they rest on (0012 and 0013)."""

import math
from collections.abc import Iterable, Sequence
from uuid import UUID

from benchmarks.chaos.ledger import Ledger, Score
from benchmarks.chaos.lines import Line
from benchmarks.chaos.observe import ORDER, Observed, Told
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.reference import Expected
from benchmarks.chaos.world import Grid
from domains.cryoem import ids

#: So many holes' order is told.
ORDER_HOLES = 100
#: Measured values that Athena is told.
_TOLD = ("total_motion", "ctf_max_resolution_estimate")


def hole_scores(plan: Plan, expected: Expected, ledger: Ledger) -> Line:
    """Check that each score follows from predictions and weights, and each place from scores."""
    line = Line("hole scores", len(ledger.scores))
    for grid in plan.grids:
        for square in grid.squares:
            for hole in square.holes:
                found, wanted = ledger.scores.get(hole.uuid), expected.scores.get(hole.uuid)
                if found is None:
                    if hole.uuid in expected.predicted:
                        line.lost.append(f"{hole.uuid}: {wanted}")
                elif wanted is None or not math.isclose(found.score, wanted, abs_tol=1e-9):
                    line.wrong.append(f"{hole.uuid}: {found.score}, not {wanted}")
            falling = [score.score for _, score in _ranked(ledger, (h.uuid for h in square.holes))]
            if falling != sorted(falling, reverse=True):
                line.wrong.append(f"square {square.uuid}: a better hole comes after a worse one")
        places = [score.place for _, score in _ranked(ledger, (h.uuid for h in grid.holes))]
        if places != list(range(1, len(places) + 1)):
            line.wrong.append(f"grid {grid.uuid}: places {places[:20]} …")
    return line


def orders(plan: Plan, seen: Observed) -> list[Line]:
    """Check that each order at Athena is a permutation, and the last ones those of the scores."""
    told = [one for one in seen.told if one.decision_type == ORDER]
    inside = {
        area: holes
        for grid in plan.grids
        for area, holes in (
            (ids.atlas_uuid(grid.uuid), {square.uuid for square in grid.squares}),
            *((square.uuid, {hole.uuid for hole in square.holes}) for square in grid.squares),
        )
    }
    each = Line("orders at Athena", len(told))
    for one in told:
        if one.places != tuple(range(1, len(one.order) + 1)) or not one.order:
            each.wrong.append(f"{one.id}: places {one.places}")
        if len(set(one.order)) < len(one.order):
            each.doubled.append(f"{one.id}: an area twice in {one.order}")
        if not set(one.order) <= inside.get(one.area, set()):
            each.wrong.append(f"{one.id}: areas that are not on {one.area}")
    last = {one.area: one for one in told}
    wanted = [one for grid in plan.grids for one in _wanted(grid, seen.ledger)]
    line = Line("orders in force", len(wanted))
    for area, areas, still_open in wanted:
        if area not in last:
            line.lost.append(f"{area}: {areas}")
        elif not _holds(last[area], areas, still_open):
            line.wrong.append(f"{area}: {last[area].order}, not {areas}")
    return [each, line]


def next_squares(plan: Plan, ledger: Ledger) -> set[UUID]:
    """Return the squares on which the holes are whose order is told."""
    return {area for grid in plan.grids for _, on, _ in _wanted(grid, ledger)[:1] for area in on}


def measured_values(expected: Expected, ledger: Ledger) -> Line:
    """Check that Athena has the motion and CTF of each message, once."""
    wanted = sum(name in _TOLD for _, name in expected.measurements)
    line = Line("measured values at Athena", wanted)
    line.lost = [str(one) for one in ledger.sent_values if not ledger.values[one]]
    line.lost += [f"{wanted}, of which {len(ledger.sent_values)} were to be told"] * (
        len(ledger.sent_values) < wanted
    )
    line.doubled = [f"{one} {times} times" for one, times in ledger.values.items() if times > 1]
    line.wrong = [
        f"{one} is {state}" for one, state in ledger.sent_values.items() if state != "done"
    ]
    unknown = ledger.values.keys() - ledger.sent_values.keys()
    line.wrong += [f"{one} was never to be told" for one in unknown]
    line.wrong += [f"{len(ledger.sent_values)}, not {wanted}"] * (len(ledger.sent_values) > wanted)
    return line


def _ranked(ledger: Ledger, holes: Iterable[UUID]) -> list[tuple[UUID, Score]]:
    """Return the holes that have a place, in order."""
    found = [(hole, ledger.scores[hole]) for hole in holes if hole in ledger.scores]
    return sorted(
        (one for one in found if one[1].place is not None), key=lambda one: one[1].place or 0
    )


def _wanted(grid: Grid, ledger: Ledger) -> list[tuple[UUID, list[UUID], set[UUID]]]:
    """Return what must be told: about which area, in which order, and what is still open there.

    The first is about the atlas, if there is any.
    """
    square_of = {hole.uuid: square.uuid for square in grid.squares for hole in square.holes}
    ranked = [hole for hole, _ in _ranked(ledger, square_of)]
    still_open: dict[UUID, set[UUID]] = {}
    for hole in ranked:
        still_open.setdefault(square_of[hole], set()).add(hole)
    on_square: dict[UUID, list[UUID]] = {}
    for hole in ranked[:ORDER_HOLES]:
        on_square.setdefault(square_of[hole], []).append(hole)
    if not on_square:
        return []
    return [
        (ids.atlas_uuid(grid.uuid), list(on_square), set(still_open)),
        *((square, holes, still_open[square]) for square, holes in on_square.items()),
    ]


def _holds(told: Told, wanted: Sequence[UUID], still_open: set[UUID]) -> bool:
    """Return whether an order that was told, less what was collected since, begins as it must."""
    left = [area for area in told.order if area in still_open]
    same = left[: len(wanted)] == list(wanted[: len(left)])
    return same and 2 * len(left) >= len(wanted)
