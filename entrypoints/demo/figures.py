"""What came of the demonstration, as the database, Athena and Prefect tell it."""

import resource
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlmodel import Session, col

from blocks.athena import AthenaClient
from core.clock import utcnow
from core.errors import UnknownParent
from core.version import version
from models.athena import AreaType, DecisionType
from models.base import DeliveryState
from models.cryoem.api_schemas import LatencyStatus
from models.cryoem.decision_tables import Decision
from models.cryoem.queries.status import get_status, percentile
from models.cryoem.summary import SessionSummary, summarise
from models.cryoem.tables import Hole, Micrograph, Square
from models.outbox import OutboxMessage

#: Runs read at once from Prefect.
_PAGE = 200


@dataclass(frozen=True)
class Progress:
    """Numbers of one session while it goes on."""

    summary: SessionSummary
    inbox: dict[str, int]
    outbox: dict[str, int]
    #: Selections of squares and holes that Athena has.
    selections: int
    latency: LatencyStatus


def look(session: Session, grid: UUID) -> Progress | None:
    """Return how far a grid is; None while it is not known."""
    try:
        summary = summarise(session, grid)
    except UnknownParent:
        return None
    status = get_status(session, version=version(), now=utcnow())
    return Progress(
        summary,
        status.inbox.by_state,
        status.outbox.by_state,
        _selections(session, grid),
        status.latency,
    )


def _selections(session: Session, grid: UUID) -> int:
    statement = (
        select(func.count())
        .select_from(Decision)
        .join(OutboxMessage, col(OutboxMessage.id) == col(Decision.id))
        .where(
            col(Decision.grid_uuid) == grid,
            col(Decision.decision_type) != DecisionType.ACQUISITION_ORDER,
            col(OutboxMessage.state) == DeliveryState.DONE,
        )
    )
    return session.scalar(statement) or 0


@dataclass(frozen=True)
class Stored:
    """The natural ids of what the database has of one grid."""

    squares: frozenset[int]
    holes: frozenset[int]
    micrographs: Counter[str]


def stored(session: Session, grid: UUID) -> Stored:
    """Read what is stored of a grid."""
    squares = session.scalars(select(col(Square.square_id)).where(col(Square.grid_uuid) == grid))
    holes = session.scalars(select(col(Hole.hole_id)).where(col(Hole.grid_uuid) == grid))
    stems = session.scalars(select(col(Micrograph.stem)).where(col(Micrograph.grid_uuid) == grid))
    return Stored(frozenset(squares), frozenset(holes), Counter(stems))


class Latency(BaseModel):
    """From the last prediction that decisions rest on to Athena having them, in seconds."""

    model_config = ConfigDict(frozen=True)

    decisions: int
    p50_seconds: float | None
    p95_seconds: float | None


def latencies(session: Session, grid: UUID) -> dict[str, Latency]:
    """Return how long decisions of each type took."""
    found: dict[str, list[float]] = {}
    statement = (
        select(
            col(Decision.decision_type), col(OutboxMessage.caused_at), col(OutboxMessage.sent_at)
        )
        .join(OutboxMessage, col(OutboxMessage.id) == col(Decision.id))
        # An order has no one cause, and waits on purpose.
        .where(
            col(Decision.grid_uuid) == grid,
            col(OutboxMessage.sent_at).is_not(None),
            col(OutboxMessage.caused_at).is_not(None),
        )
    )
    for kind, caused_at, sent_at in session.execute(statement):
        found.setdefault(kind, []).append((sent_at - caused_at).total_seconds())
    return {
        kind: Latency(
            decisions=len(seconds),
            p50_seconds=percentile(sorted(seconds), 0.5),
            p95_seconds=percentile(sorted(seconds), 0.95),
        )
        for kind, seconds in sorted(found.items(), reverse=True)
    }


@dataclass(frozen=True)
class AtAthena:
    """What the decision service has of one session."""

    areas: dict[str, frozenset[int]]
    #: How often each decision id is there; once, if all is well.
    decisions: Counter[str]
    #: How many decisions of a type are there about an area.
    decided: Counter[tuple[str, int]]
    #: "type: value" → number; a hole selection counts by its number of holes.
    values: dict[str, int]
    runs: int
    stopped: bool

    def by_type(self) -> dict[str, int]:
        """Return how many decisions of each type there are."""
        counts: Counter[str] = Counter()
        for (kind, _), number in self.decided.items():
            counts[kind] += number
        return dict(counts)


async def ask_athena(client: AthenaClient, session_name: str) -> AtAthena:
    """Read a session's areas, decisions and runs at Athena.

    Raises:
        AthenaNotFound: It does not know the session.
    """
    session = (await client.find_session(session_name)).session_id
    if session is None:
        raise UnknownParent("Athena session", session_name)
    areas = await client.find_areas(session)
    decisions = await client.find_decisions(session)
    runs = await client.find_runs(session)
    values: Counter[str] = Counter()
    for one in decisions:
        values.update(_values(one.decision_type, one.decision_value or ""))
    return AtAthena(
        areas={
            kind.value: frozenset(area.id for area in areas if area.area_type == kind)
            for kind in (AreaType.GRID_SQUARE, AreaType.FOIL_HOLE)
        },
        decisions=Counter(str(one.id) for one in decisions),
        decided=Counter((one.decision_type.value, one.area_id) for one in decisions),
        values=dict(sorted(values.items())),
        runs=len(runs),
        stopped=bool(runs) and all(run.stop_time is not None for run in runs),
    )


def _values(kind: DecisionType, value: str) -> Iterable[str]:
    """Return the answers within a decision: one of a square's, one for each hole selected from.

    Where an area stands in an order is no answer to count.
    """
    if kind == DecisionType.ACQUISITION_ORDER:
        return []
    if kind != DecisionType.FOIL_HOLE_SELECTION:
        return [f"{kind.value}: {value}"]
    # The value is JSON of our own making, in which each hole has one result.
    return [
        f"{kind.value}: {word}"
        for word in ("false", "true")
        for _ in range(value.count(f'"result": "{word}"'))
    ]


async def flow_runs() -> dict[str, dict[str, int]]:
    """Return how many runs of each flow are in each state, those planned for later left out."""
    # Prefect reads the environment when it is first imported: not before it is prepared.
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    counts: dict[str, Counter[str]] = {}
    async with get_client() as client:
        names = {flow.id: flow.name for flow in await client.read_flows()}
        offset = 0
        while page := await client.read_flow_runs(limit=_PAGE, offset=offset):
            offset += len(page)
            for run in page:
                if run.state_name != "Scheduled":
                    by_state = counts.setdefault(names[run.flow_id], Counter())
                    by_state[run.state_name or "unknown"] += 1
    return {name: dict(sorted(counts[name].items())) for name in sorted(counts)}


def resident_bytes() -> int:
    """Return the memory that this process holds; where that is not told, the most it held."""
    told = Path("/proc/self/statm")
    if told.exists():
        return int(told.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
