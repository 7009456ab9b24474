"""The end state as it is, held against the one that must be."""

from collections import Counter
from uuid import UUID

from benchmarks.chaos.accounts import accounts
from benchmarks.chaos.lines import Line, of_history, of_mapping
from benchmarks.chaos.observe import ORDER, Observed
from benchmarks.chaos.orders import hole_scores, measured_values, next_squares, orders
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.reference import THRESHOLD, Expected
from domains.cryoem import ids


def compare(plan: Plan, expected: Expected, seen: Observed) -> list[Line]:
    """Return a line for each kind of thing."""
    return [
        _messages(plan, seen),
        _dead_letters(plan, seen),
        of_history("predictions", {(*k, v) for k, v in expected.history.items()}, seen.history),
        of_mapping("current predictions", expected.current, seen.current),
        of_mapping("groups", expected.groups, seen.groups),
        of_history(
            "measurements",
            {(*k, v) for k, v in expected.measurements.items()},
            seen.measurements,
        ),
        of_mapping("current measurements", expected.measured, seen.measured),
        of_mapping("model parameters", expected.parameters, seen.parameters),
        _areas(plan, seen),
        _decisions(seen),
        _following(plan, expected, seen),
        of_mapping("squares in force", _squares(expected), _last("gridSquareSelection", seen)),
        _holes_in_force(plan, expected, seen),
        *accounts(plan, expected, seen.ledger),
        measured_values(expected, seen.ledger),
        hole_scores(plan, expected, seen.ledger),
        *orders(plan, seen),
    ]


def _messages(plan: Plan, seen: Observed) -> Line:
    line = Line("messages", len(plan.messages))
    for message in plan.messages:
        states = seen.states.get(message.message_id, [])
        wanted = "done" if message.fault is None else "dead"
        if not states:
            line.lost.append(f"{message.message_id}: {message.content[:200]!r}")
        elif len(states) > 1:
            line.doubled.append(f"{message.message_id}: {states}")
        elif states != [wanted]:
            why = seen.reasons.get(message.message_id, "")
            line.wrong.append(f"{message.message_id} is {states[0]}, not {wanted} {why}")
    return line


def _dead_letters(plan: Plan, seen: Observed) -> Line:
    bad = [message for message in plan.messages if message.fault is not None]
    line = Line("dead letters", len(bad))
    for message in bad:
        if not seen.reasons.get(message.message_id):
            line.lost.append(f"{message.message_id} ({message.fault}) has no reason")
    return line


def _areas(plan: Plan, seen: Observed) -> Line:
    # The atlas is one from the first order on.
    atlases = {ids.atlas_uuid(grid.uuid) for grid in plan.grids}
    ordered = atlases & {one.area for one in seen.told if one.decision_type == ORDER}
    wanted = len(ordered) + sum(len(grid.squares) + len(grid.holes) for grid in plan.grids)
    line = Line("areas at Athena", wanted)
    if seen.areas_at_athena != wanted:
        line.wrong.append(f"{seen.areas_at_athena} areas, not {wanted}")
    return line


def _decisions(seen: Observed) -> Line:
    sent = {ident for ident, state in seen.outbox.items() if state == "done"}
    times = Counter(one.id for one in seen.told)
    line = Line("decisions at Athena", len(sent))
    line.lost = [str(ident) for ident in sent if ident not in times]
    line.doubled = [f"{ident} {number} times" for ident, number in times.items() if number > 1]
    line.wrong = [f"{ident} was never to be sent" for ident in times if ident not in sent]
    line.wrong += [
        f"{ident} is {state}"
        for ident, state in seen.outbox.items()
        if state not in {"done", "superseded"}
    ]
    return line


def _following(plan: Plan, expected: Expected, seen: Observed) -> Line:
    """Return the decisions at Athena that do not follow from the predictions that they name.

    Of areas with predictions of several models or metrics only that these were made: which
    weights were in force then is not known.
    """
    told = [one for one in seen.told if one.decision_type != ORDER]
    line = Line("decisions that follow", len(told))
    at_bar = {hole.uuid for grid in plan.grids for hole in grid.holes if hole.at_bar}
    values = {
        (message, target): value for (message, target, _, _), value in expected.history.items()
    }
    for one in told:
        for area, selected in one.selected.items():
            value = values.get((one.basis.get(area, ""), area))
            # Holes at a bar may have been decided before that was known.
            free = area in at_bar or _is_said_by_several(expected, area)
            if value is None or not (free or selected is (value > THRESHOLD)):
                line.wrong.append(f"{one.id}: {area} {selected}, with {value} of {one.basis}")
                break
    return line


def _is_said_by_several(expected: Expected, area: UUID) -> bool:
    return len(expected.predicted.get(area, ())) > 1


def _squares(expected: Expected) -> dict[UUID, dict[UUID, bool]]:
    return {square: {square: selected} for square, selected in expected.squares.items()}


def _holes_in_force(plan: Plan, expected: Expected, seen: Observed) -> Line:
    """Compare the last decision on each square's holes with the one that must be in force.

    Where several predictions speak of a hole, and its square is not among the next ones, it may
    be decided by the weights that were in force when the last prediction came.
    """
    upcoming = next_squares(plan, seen.ledger)
    last = _last("foilHoleSelection", seen)
    wanted = {
        square: {
            hole: last[square].get(hole, chosen)
            if square in last and square not in upcoming and _is_said_by_several(expected, hole)
            else chosen
            for hole, chosen in holes.items()
        }
        for square, holes in expected.holes.items()
    }
    return of_mapping("hole selections in force", wanted, last)


def _last(decision_type: str, seen: Observed) -> dict[UUID, dict[UUID, bool]]:
    return {one.area: one.selected for one in seen.told if one.decision_type == decision_type}
