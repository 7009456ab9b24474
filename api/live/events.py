"""Stored news made ready for pages: read once a process, filtered for each stream."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from api.live.frames import frame
from models.cryoem.instructions import live, showing
from models.cryoem.instructions.live import EventType
from models.cryoem.instructions.tables import AgentSession, LiveEvent
from models.cryoem.tables import Acquisition


@dataclass(frozen=True)
class Shown:
    """One event, written once for all streams that show it."""

    seq: int
    event_type: str
    agent_id: str | None
    session_id: str | None
    acquisition: UUID | None
    frame: bytes
    #: Whether an agent's stream may have something to do now.
    wakes: bool = False


@dataclass(frozen=True)
class Written:
    """Events as they are sent together."""

    frames: bytes
    events: int


@dataclass(frozen=True, eq=False)
class Sight:
    """What somebody sees who does not see all: as it was when it was last looked up."""

    acquisitions: frozenset[UUID]
    sessions: frozenset[str]

    def has(self, one: Shown) -> bool:
        """Return whether an event is theirs to see."""
        return one.acquisition in self.acquisitions or one.session_id in self.sessions


@dataclass(frozen=True)
class Wanted:
    """What one stream shows; None means all."""

    acquisition: UUID | None = None
    agent_id: str | None = None
    event_types: frozenset[str] | None = None
    sight: Sight | None = None

    def takes(self, one: Shown) -> bool:
        """Return whether an event is shown."""
        if not self.has(one.event_type) or not (self.sight is None or self.sight.has(one)):
            return False
        if self.agent_id is not None and one.agent_id not in (None, self.agent_id):
            return False
        return self.acquisition is None or one.acquisition in (None, self.acquisition)

    def of(self, news: Iterable[Shown]) -> Written:
        """Return what is shown of events, to be sent."""
        frames = [one.frame for one in news if self.takes(one)]
        return Written(b"".join(frames), len(frames))

    def has(self, event_type: str) -> bool:
        """Return whether events of this type are shown."""
        return self.event_types is None or event_type in self.event_types


@dataclass(frozen=True)
class News:
    """What was read at once."""

    shown: Sequence[Shown]
    #: Acquisitions of which something changed that is counted.
    changed: frozenset[UUID]
    #: Number of the newest event read.
    seq: int
    #: Whether there may be more.
    full: bool


def look_up_sight(session: Session) -> Sight:
    """Return what the caller sees, asked as everything of theirs is asked."""
    return Sight(
        frozenset(session.scalars(select(col(Acquisition.uuid)))),
        frozenset(session.scalars(select(col(AgentSession.session_id)))),
    )


def read_news(session: Session, after: int, *, limit: int, upto: int | None = None) -> News:
    """Return events after a number, with what is looked up for them."""
    rows = live.events_after(session, after, upto=upto, limit=limit)
    metrics = _metrics(session, rows)
    shown: list[Shown] = []
    changed: set[UUID] = set()
    for row in rows:
        match row.event_type:
            case EventType.ACQUISITION_PROGRESS:
                if row.acquisition_uuid is not None:
                    changed.add(row.acquisition_uuid)
            case EventType.PROCESSING_METRIC:
                shown += _measured(row, metrics)
            case _:
                shown.append(_shown(row, frame(row.event_type, row.data, ident=row.seq)))
    seq = rows[-1].seq if rows else None
    return News(shown, frozenset(changed), seq or after, len(rows) == limit)


def progress_of(session: Session, acquisitions: Collection[UUID], seq: int) -> list[Shown]:
    """Return how far acquisitions are, as of an event's number."""
    return [
        Shown(
            seq,
            EventType.ACQUISITION_PROGRESS,
            None,
            None,
            UUID(one["acquisition_uuid"]),
            frame(EventType.ACQUISITION_PROGRESS, one, ident=seq),
        )
        for one in showing.progress(session, acquisitions)
    ]


def snapshot(session: Session, wanted: Wanted, seq: int) -> list[Shown]:
    """Return what a page that comes is shown first: who is online, how far acquisitions are."""
    found: list[Shown] = []
    if wanted.has(EventType.AGENT_STATUS):
        for one in showing.agents(session, agent_id=wanted.agent_id):
            text = one["acquisition_uuid"]
            found.append(
                Shown(
                    seq,
                    EventType.AGENT_STATUS,
                    one["agent_id"],
                    one["session_id"],
                    None if text is None else UUID(text),
                    frame(EventType.AGENT_STATUS, one, ident=seq),
                )
            )
    if wanted.has(EventType.ACQUISITION_PROGRESS):
        which = None if wanted.acquisition is None else [wanted.acquisition]
        for one in showing.progress(session, which):
            found.append(  # noqa: PERF401 (as above)
                Shown(
                    seq,
                    EventType.ACQUISITION_PROGRESS,
                    None,
                    None,
                    UUID(one["acquisition_uuid"]),
                    frame(EventType.ACQUISITION_PROGRESS, one, ident=seq),
                )
            )
    return [one for one in found if wanted.takes(one)]


def _shown(row: LiveEvent, written: bytes) -> Shown:
    return Shown(
        row.seq or 0,
        row.event_type,
        row.agent_id,
        row.session_id,
        row.acquisition_uuid,
        written,
        wakes=_wakes(row),
    )


def _wakes(row: LiveEvent) -> bool:
    if row.event_type == EventType.AGENT_STATUS:
        # A newer stream has taken over, or the session has ended.
        return True
    if row.event_type != EventType.INSTRUCTION_LIFECYCLE:
        return False
    return row.data.get("status") == "pending" and not row.data.get("held")


def _metrics(session: Session, rows: Sequence[LiveEvent]) -> dict[str, dict[str, object]]:
    named = dict.fromkeys(
        UUID(one)
        for row in rows
        if row.event_type == EventType.PROCESSING_METRIC
        for one in row.data["micrographs"]
    )
    return {one["micrograph_uuid"]: one for one in showing.metrics_of(session, named)}


def _measured(row: LiveEvent, metrics: dict[str, dict[str, object]]) -> list[Shown]:
    found = [metrics[one] for one in row.data["micrographs"] if one in metrics]
    # Who comes back has seen all of a batch or, as far as is known, none of it.
    last = len(found) - 1
    return [
        _shown(
            row,
            frame(row.event_type, one, ident=row.seq if place == last else None),
        )
        for place, one in enumerate(found)
    ]
