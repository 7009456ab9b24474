"""What the demonstration says at its end, and whether it is as the truth would have it."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from entrypoints.demo.figures import AtAthena, Latency, Stored
from entrypoints.demo.story import Ending
from models.athena import AreaType, DecisionType
from models.base import DeliveryState
from models.cryoem.api_schemas import LatencyStatus
from simulators.epu.truth import GridTruth

#: How many ids of what is wrong are named.
_NAMED = 5
#: Decided once for each square; orders come as often as there is something new.
_SELECTIONS = (DecisionType.GRID_SQUARE_SELECTION, DecisionType.FOIL_HOLE_SELECTION)
#: States of runs that nobody wants to see.
_FAILED_RUNS = ("Failed", "Crashed", "TimedOut")


class AthenaFigures(BaseModel):
    """How much the decision service has; `values` counts each hole of a selection."""

    model_config = ConfigDict(frozen=True)

    areas: dict[str, int]
    decisions: dict[str, int]
    values: dict[str, int]


class Worth(BaseModel):
    """Good micrographs with decisions and without, in the same microscope time, same seed."""

    model_config = ConfigDict(frozen=True)

    #: Of this session, in simulated minutes.
    minutes: float
    decided: int
    decided_good: int
    own: int
    own_good: int
    #: Of the simulation of orders, in simulated hours.
    order_hours: float
    order_epu: int
    order_classic: int
    order_adaptive: int


class Outcome(BaseModel):
    """Every number of the final table; none of it is known beforehand."""

    model_config = ConfigDict(frozen=True)

    ok: bool
    mismatches: tuple[str, ...]
    grid_uuid: UUID
    truth: dict[str, int]
    entities: dict[str, int]
    athena: AthenaFigures
    latency_seconds: LatencyStatus
    latency_by_type: dict[str, Latency]
    micrographs_collected: int
    squares_skipped: int
    worth: Worth
    inbox: dict[str, int]
    outbox: dict[str, int]
    flow_runs: dict[str, dict[str, int]]
    memory_resident_bytes: int
    seconds: float
    addresses: dict[str, str]
    #: Where its files are, if they are kept.
    folder: str | None


def mismatches(
    grid: GridTruth,
    ending: Ending,
    stored: Stored,
    athena: AtAthena,
    runs: dict[str, dict[str, int]],
) -> tuple[str, ...]:
    """Return what is not as the truth says, a sentence each."""
    squares = {square.square_id for square in grid.squares}
    holes = {hole.hole_id for hole in grid.holes}
    return (
        *_differing("squares stored", stored.squares, squares),
        *_differing("holes stored", stored.holes, holes),
        *_differing("squares at Athena", athena.areas[AreaType.GRID_SQUARE], squares),
        *_differing("holes at Athena", athena.areas[AreaType.FOIL_HOLE], holes),
        *_wrong_decisions(athena, squares),
        *_wrong_predictions(ending, len(squares) + len(holes)),
        *_wrong_micrographs(ending, stored),
        *_left_over(ending),
        *_wrong_runs(athena, runs),
    )


def _differing(what: str, found: set[int] | frozenset[int], wanted: set[int]) -> Iterator[str]:
    if lacking := sorted(wanted - found):
        yield f"{what}: {len(lacking)} are missing ({_named(lacking)})"
    if extra := sorted(found - wanted):
        yield f"{what}: {len(extra)} are not of this grid ({_named(extra)})"


def _named(ids: list[Any]) -> str:
    return ", ".join(map(str, ids[:_NAMED])) + (" …" if len(ids) > _NAMED else "")


def _wrong_decisions(athena: AtAthena, squares: set[int]) -> Iterator[str]:
    for kind in _SELECTIONS:
        wrong = [square for square in sorted(squares) if athena.decided[kind.value, square] != 1]
        if wrong:
            counts = {athena.decided[kind.value, square] for square in wrong}
            yield (
                f"{kind.value}: Athena has {_named(sorted(counts))} instead of 1 "
                f"for {len(wrong)} squares ({_named(wrong)})"
            )
    selections = {kind.value for kind in _SELECTIONS}
    made = sum(number for (kind, _), number in athena.decided.items() if kind in selections)
    if strange := made - 2 * len(squares):
        yield f"selections at Athena: {strange:+d} against two for each square"
    if twice := [ident for ident, number in athena.decisions.items() if number > 1]:
        yield f"decisions that Athena has twice: {_named(twice)}"


def _wrong_predictions(ending: Ending, wanted: int) -> Iterator[str]:
    found = ending.progress.summary.entities["predictions"]
    if found != wanted:
        yield f"predictions stored: {found} instead of {wanted}"


def _wrong_micrographs(ending: Ending, stored: Stored) -> Iterator[str]:
    taken = set(ending.acquisition.micrographs.values())
    if lacking := sorted(taken - set(stored.micrographs)):
        yield f"micrographs: {len(lacking)} were taken and not stored ({_named(lacking)})"
    if extra := sorted(set(stored.micrographs) - taken):
        yield f"micrographs: {len(extra)} are stored and were not taken ({_named(extra)})"
    if twice := [stem for stem, number in stored.micrographs.items() if number > 1]:
        yield f"micrographs: {len(twice)} are stored twice ({_named(twice)})"
    if silent := sorted({*ending.unanswered, *ending.acquisition.undecided}):
        yield f"squares without an answer in time: {_named(silent)}"
    if ending.unreported:
        yield f"states of areas that Athena did not take: {ending.unreported}"


def _left_over(ending: Ending) -> Iterator[str]:
    queues = {"inbox": ending.progress.inbox, "outbox": ending.progress.outbox}
    for name, by_state in queues.items():
        for state in (
            DeliveryState.DEAD,
            DeliveryState.WAITING,
            DeliveryState.PENDING,
            DeliveryState.CLAIMED,
        ):
            if number := by_state.get(state, 0):
                yield f"{name}: {number} {state.value}"


def _wrong_runs(athena: AtAthena, runs: dict[str, dict[str, int]]) -> Iterator[str]:
    if not athena.stopped:
        yield f"the acquisition at Athena: {athena.runs} runs, not all of them stopped"
    for flow, by_state in runs.items():
        for state in _FAILED_RUNS:
            if number := by_state.get(state, 0):
                yield f"flow {flow}: {number} runs {state.lower()}"
