"""The agent's own log lines on their way to the API: few, bounded, and never in the way."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from agent.epu.api import SinkUnavailable
from agent.instructions.channel import MAX_LOG_LINES, Channel, ChannelRefused
from agent.instructions.information import Ways

#: Lines kept while the API is away; what is older is dropped, and counted.
_KEPT = 5_000
_LONGEST_LINE = 10_000
#: What sending writes to the log would be sent again, for ever.
_NOT_SENT = ("httpx", "httpcore", __name__)


class LogLines(logging.Handler):
    """Keeps the latest lines until they are handed in."""

    def __init__(self, ways: Ways) -> None:
        """Take from which level on lines are kept, which may be adjusted."""
        super().__init__()
        self._ways = ways
        self._lines: deque[dict[str, Any]] = deque()
        self._kept = threading.Lock()
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, if it is of interest."""
        wanted = self._ways.chosen.log_level
        if wanted == "OFF" or record.levelno < logging.getLevelNamesMapping()[wanted]:
            return
        if record.name.startswith(_NOT_SENT):
            return
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            self.handleError(record)
            return
        line = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger_name": record.name,
            "message": message[:_LONGEST_LINE],
        }
        with self._kept:
            if len(self._lines) >= _KEPT:
                self._lines.popleft()
                self.dropped += 1
            self._lines.append(line)

    def take(self) -> list[dict[str, Any]]:
        """Return the oldest lines, as many as one request may have; they are ours no more."""
        with self._kept:
            return [self._lines.popleft() for _ in range(min(len(self._lines), MAX_LOG_LINES))]

    def put_back(self, lines: list[dict[str, Any]]) -> None:
        """Keep lines again that could not be handed in."""
        with self._kept:
            room = max(_KEPT - len(self._lines), 0)
            self.dropped += max(len(lines) - room, 0)
            self._lines.extendleft(reversed(lines[len(lines) - min(room, len(lines)) :]))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep what this process logs during the block."""
        root = logging.getLogger()
        root.addHandler(self)
        try:
            yield
        finally:
            root.removeHandler(self)


async def hand_in(lines: LogLines, channel: Channel, session_id: str) -> bool:
    """Hand in one batch of lines; return whether there may be more."""
    batch = lines.take()
    if not batch:
        return False
    try:
        await channel.log(session_id, batch)
    except SinkUnavailable:
        lines.put_back(batch)
        return False
    except ChannelRefused:
        # Whatever is wrong with them would be wrong again.
        lines.dropped += len(batch)
    return len(batch) == MAX_LOG_LINES


async def keep_handing_in(
    lines: LogLines, channel: Channel, session_id: str, *, every: float
) -> None:
    """Hand in what is logged, every so many seconds, until cancelled."""
    while True:
        while await hand_in(lines, channel, session_id):
            pass
        await asyncio.sleep(every)
