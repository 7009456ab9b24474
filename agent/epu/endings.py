"""When a session is over: its marker has appeared, or nothing has come for long."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from agent.epu.files import signature_of
from agent.epu.homes import Home
from agent.epu.remembered import Ending, Remembered
from core.ids import derived
from models.cryoem.messages import SessionEndedMessage


@dataclass(frozen=True, slots=True)
class _Session:
    folder: Path
    #: When we last reported something of it, in seconds since 1970.
    last_news: float
    #: Modification time of its newest file.
    newest_ns: int
    said: Ending | None = None


class Endings:
    """What is known of each session's last news; a session that goes on may end again."""

    def __init__(self, *, idle_seconds: float = 0.0, marker: str = "") -> None:
        """Prepare.

        Args:
            idle_seconds: A session without news for so long is over; 0 for never.
            marker: Name of a file that says so in the session's folder; empty for none.
        """
        self._idle_seconds = idle_seconds
        self._marker = marker
        self._sessions: dict[UUID, _Session] = {}

    def discovered(self, home: Home, remembered: Remembered, now: float) -> None:
        """Take in a session and what is remembered of it."""
        if home.grid in self._sessions:
            return
        inside = [
            one.signature.mtime_ns
            for one in remembered.files
            if one.path.is_relative_to(home.folder)
        ]
        self._sessions[home.grid] = _Session(
            home.folder,
            now if remembered.last_news is None else remembered.last_news,
            max(inside, default=0),
            remembered.ending,
        )

    def reported(self, grid: UUID, newest_ns: int, now: float) -> None:
        """Note that something of a session was reported, and how new that is."""
        known = self._sessions[grid]
        self._sessions[grid] = replace(
            known, last_news=now, newest_ns=max(newest_ns, known.newest_ns)
        )

    def due(
        self, now: float, busy: Collection[Path]
    ) -> Mapping[Ending, tuple[SessionEndedMessage, Path]]:
        """Return the endings to be said now, each with its message and folder.

        Args:
            now: Seconds since 1970.
            busy: Files that are still to be read: their sessions go on.
        """
        due: dict[Ending, tuple[SessionEndedMessage, Path]] = {}
        for grid, session in self._sessions.items():
            if session.said is not None and session.said.newest_ns >= session.newest_ns:
                continue
            marker_ns = self._marker_ns(session)
            is_marked = marker_ns > (session.said.marker_ns if session.said else 0)
            is_idle = 0 < self._idle_seconds <= now - session.last_news
            if not (is_marked or is_idle):
                continue
            if any(path.is_relative_to(session.folder) for path in busy):
                continue
            reason = (
                f"{self._marker} was written"
                if is_marked
                else f"no new files for {self._idle_seconds / 3600:g} h"
            )
            due[Ending(grid, session.newest_ns, marker_ns)] = (
                _message(grid, session.newest_ns, reason),
                session.folder,
            )
        return due

    def said(self, ending: Ending) -> None:
        """Note that an ending is reported."""
        self._sessions[ending.grid] = replace(self._sessions[ending.grid], said=ending)

    def _marker_ns(self, session: _Session) -> int:
        found = signature_of(session.folder / self._marker) if self._marker else None
        return found.mtime_ns if found else 0


def _message(grid: UUID, newest_ns: int, reason: str) -> SessionEndedMessage:
    # Whoever watches the same files, now or after a restart, says the same with the same id.
    return SessionEndedMessage(
        message_id=str(derived(grid, "ended", newest_ns)),
        grid_uuid=grid,
        reason=reason,
        last_file_at=datetime.fromtimestamp(newest_ns / 1e9, UTC) if newest_ns else None,
    )
