"""The accounts of weights, held against what was measured and predicted (decision 0011)."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from benchmarks.chaos.ledger import Ledger, Step
from benchmarks.chaos.lines import Line
from benchmarks.chaos.plan import Plan
from benchmarks.chaos.reference import Expected
from benchmarks.chaos.weights import METRICS, Account, Ground, Weights, joined, stepped

#: What each metric's judgement is published as.
_REGISTERED = {
    "motioncorrection": "motion_correction.registered",
    "ctfmaxresolution": "ctf.registered",
    "numparticles": "particle_picking.registered",
}
#: From this quality on, a micrograph is good.
_GOOD = 0.5


@dataclass(frozen=True)
class _Measured:
    value: float
    micrograph: UUID


@dataclass(frozen=True)
class _Place:
    """Where a micrograph was taken."""

    grid: UUID
    square: UUID
    hole: UUID


@dataclass
class _Lines:
    """What is found, account after account."""

    judged: Line
    statistics: Line
    steps: Line
    in_force: Line
    registered: Line
    #: (event type, micrograph, is good) → how many are to be published.
    to_register: Counter[tuple[str, UUID, bool]] = field(default_factory=Counter)


def accounts(plan: Plan, expected: Expected, ledger: Ledger) -> list[Line]:
    """Return a line each for judgements, statistics, weights and what is published of them."""
    places = {
        hole.micrograph: _Place(grid.uuid, square.uuid, hole.uuid)
        for grid in plan.grids
        for square in grid.squares
        for hole in square.holes
        if hole.micrograph is not None
    }
    measured = _measured(expected, places)
    said = _said(expected)
    number = sum(map(len, measured.values()))
    lines = _Lines(
        judged=Line("judged once", number),
        statistics=Line("statistics", len(measured)),
        steps=Line("steps of weights", sum(map(len, ledger.steps.values()))),
        in_force=Line("weights in force", len(ledger.steps)),
        registered=Line("registered published", number),
    )
    for ground in sorted(measured.keys() | ledger.steps.keys() | ledger.statistics.keys()):
        _judged(ground, measured.get(ground, {}), ledger, lines)
        _follow(ground, measured.get(ground, {}), ledger, lines)
        _weighed(ground, ledger, said, places, lines)
    lines.in_force.wrong += [
        f"{ground}: {weights}, and no step"
        for ground, weights in ledger.weights.items()
        if ground not in ledger.steps
    ]
    _published(ledger, lines)
    return [lines.judged, lines.statistics, lines.steps, lines.in_force, lines.registered]


def _measured(
    expected: Expected, places: Mapping[UUID, _Place]
) -> dict[Ground, dict[str, _Measured]]:
    metric_of = {name: metric for metric, (name, _) in METRICS.items()}
    found: dict[Ground, dict[str, _Measured]] = {}
    for (message, name), value in expected.measurements.items():
        if name in metric_of:
            micrograph = expected.measured_on[message]
            ground = places[micrograph].grid, metric_of[name]
            found.setdefault(ground, {})[message] = _Measured(value, micrograph)
    return found


def _said(expected: Expected) -> dict[tuple[UUID, str, str], set[float]]:
    """Return (target, model, metric) → all that was ever predicted."""
    found: dict[tuple[UUID, str, str], set[float]] = {}
    for (_, target, model, metric), value in expected.history.items():
        found.setdefault((target, model, metric), set()).add(value)
    return found


def _judged(
    ground: Ground, measured: Mapping[str, _Measured], ledger: Ledger, lines: _Lines
) -> None:
    """Check that each value was judged, and that no message has two steps."""
    name, _ = METRICS[ground[1]]
    for message in measured:
        if ledger.qualities.get((message, name)) is None:
            lines.judged.lost.append(f"{message} has no quality")
    steps = ledger.steps.get(ground, {})
    times = Counter(message for step in steps.values() for message in step.entries)
    for message, number in times.items():
        if number > 1:
            lines.judged.doubled.append(f"{message} has {number} steps")
        if message not in measured:
            lines.judged.wrong.append(f"{message} measured no {ground[1]}")


def _follow(
    ground: Ground, measured: Mapping[str, _Measured], ledger: Ledger, lines: _Lines
) -> None:
    """Take the values in the order of the steps; compare qualities and statistics."""
    name, larger = METRICS[ground[1]]
    steps = sorted(ledger.steps.get(ground, {}).items())
    weighed = {message for _, step in steps for message in step.entries}
    account = Account()
    # Those before the first model have no step; for sums their order is all the same.
    early = [message for message in measured if message not in weighed]
    for message in early:
        account.join(measured[message].value)
        _register(ground, measured[message], ledger.qualities.get((message, name)), lines)
    if steps and steps[0][0] != len(early) + 1:
        lines.steps.lost.append(f"{ground}: {len(early)} without a step, first is {steps[0][0]}")
    for number, step in steps:
        for message in step.entries:
            one = measured.get(message)
            if one is None:
                continue
            quality = account.quality(one.value, larger_is_better=larger)
            account.join(one.value)
            _register(ground, one, quality, lines)
            qualities = step.qualities | {ledger.qualities.get((message, name))}
            if step.micrographs != {one.micrograph} or not _all_near(qualities, quality):
                lines.judged.wrong.append(f"{ground} {number}: {qualities}, not {quality}")
    known = ledger.statistics.get(ground)
    if known is None:
        lines.statistics.lost.append(str(ground))
    elif known.count != account.count or not (
        _near(known.mean, account.mean) and _near(known.m2, account.m2)
    ):
        lines.statistics.wrong.append(f"{ground}: {known}, not {account}")


def _register(ground: Ground, one: _Measured, quality: float | None, lines: _Lines) -> None:
    if quality is not None:
        lines.to_register[_REGISTERED[ground[1]], one.micrograph, quality >= _GOOD] += 1


def _weighed(
    ground: Ground,
    ledger: Ledger,
    said: Mapping[tuple[UUID, str, str], set[float]],
    places: Mapping[UUID, _Place],
    lines: _Lines,
) -> None:
    """Check that each step follows from the one before, and the weights in force from the last."""
    steps, notes = ledger.steps.get(ground, {}), dict(ledger.notes.get(ground, {}))
    weights: Weights = {}
    last = min(steps, default=1) - 1
    for number, step in sorted(steps.items()):
        lines.steps.lost += [f"{ground}: no step {gap}" for gap in range(last + 1, number)]
        last = number
        if len(step.entries) > 1:
            lines.steps.doubled.append(f"{ground} {number}: {sorted(step.entries)}")
        weights = _begun(ground, number, weights, notes.pop(number - 1, None), lines)
        weights = _after(f"{ground} {number}", weights, step, lines)
        unsaid = _unsaid(ground[1], step, said, places)
        lines.steps.wrong += [f"{ground} {number}: {one} was never predicted" for one in unsaid]
    lines.steps.wrong += [f"{ground}: weights after {number}, and no step" for number in notes]
    in_force = ledger.weights.get(ground, {})
    if steps and not in_force:
        lines.in_force.lost.append(str(ground))
    elif not _same(in_force, weights) or (in_force and not _near(sum(in_force.values()), 1)):
        lines.in_force.wrong.append(f"{ground}: {in_force}, not {weights}")


def _begun(
    ground: Ground, number: int, weights: Weights, note: Weights | None, lines: _Lines
) -> Weights:
    """Return what a step begins with, with the models that joined before it."""
    if note is None:
        return weights
    wanted = joined(weights, note)
    if not _same(note, wanted) or note.keys() <= weights.keys():
        lines.steps.wrong.append(f"{ground} before {number}: {note}, not {wanted}")
    return note


def _after(what: str, weights: Weights, step: Step, lines: _Lines) -> Weights:
    """Return the weights after a step, as it says, and check that they follow."""
    for message, entries in step.entries.items():
        found = {model: entry.weight for model, entry in entries.items()}
        if entries.keys() != weights.keys():
            lines.steps.wrong.append(f"{what} {message}: of {sorted(entries)}")
            return found
        (quality,) = list(step.qualities)[:1]
        predicted = {model: entry.prediction for model, entry in entries.items()}
        wanted = stepped(weights, predicted, quality)
        if not _same(found, wanted):
            lines.steps.wrong.append(f"{what} {message}: {found}, not {wanted}")
        weights = found
    return weights


def _unsaid(
    metric: str,
    step: Step,
    said: Mapping[tuple[UUID, str, str], set[float]],
    places: Mapping[UUID, _Place],
) -> Iterable[str]:
    """Yield the predictions that nobody made for the hole or its square."""
    for micrograph in step.micrographs & places.keys():
        place = places[micrograph]
        for entries in step.entries.values():
            for model, entry in entries.items():
                sources = (
                    said.get((target, model, name), ())
                    for target in (place.hole, place.square)
                    for name in (metric, "")
                )
                if entry.prediction is not None and not any(
                    entry.prediction in one for one in sources
                ):
                    yield f"{model} {entry.prediction}"


def _published(ledger: Ledger, lines: _Lines) -> None:
    for key in lines.to_register.keys() | ledger.registered.keys():
        wanted, found = lines.to_register[key], ledger.registered[key]
        of = f"{key}: {found} times, not {wanted}"
        if not wanted:
            lines.registered.wrong.append(of)
        elif found < wanted:
            lines.registered.lost.append(of)
        elif found > wanted:
            lines.registered.doubled.append(of)


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


def _all_near(some: Iterable[float | None], wanted: float) -> bool:
    return all(one is not None and _near(one, wanted) for one in some)


def _same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(_near(one[model], other[model]) for model in one)
