"""Logging set-up, called by entry points only."""

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

#: What a line says with False that is for our own log alone; Prefect's handler heeds it.
KEPT_FROM_PREFECT = "send_to_api"

#: Attributes that every LogRecord has; whatever else is on it came in by `extra=`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    KEPT_FROM_PREFECT,
}

#: Prefect tells its own pages of every run; here we only want to hear of trouble.
_ELSEWHERE = "prefect."
#: Libraries that speak at INFO about each request, which hides what we say.
_NOISY = ("httpx", "httpcore", "alembic", "pika", "watchdog", "websockets", "uvicorn.access")


#: Characters that end a line, or that a terminal acts on.
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")

_NOTHING: Mapping[str, object] = MappingProxyType({})
#: What every line says that is logged here and now, besides what it says itself.
_BOUND: ContextVar[Mapping[str, object]] = ContextVar("athanor_log_fields", default=_NOTHING)


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Put fields (the run, the key) on every JSON line logged within, also by threads and tasks."""
    token = _BOUND.set({**_BOUND.get(), **fields})
    try:
        yield
    finally:
        _BOUND.reset(token)


def _is_news(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or not record.name.startswith(_ELSEWHERE)


class JsonFormatter(logging.Formatter):
    """One JSON object per line, `extra` fields included."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a JSON line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_BOUND.get(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class PlainFormatter(logging.Formatter):
    """Text for people, in which no message can pass for another line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """Return the line, with whatever would break or colour it written out."""
        record.message = _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], record.message)
        return super().formatMessage(record)


def configure(level: str = "INFO", *, as_json: bool = False) -> None:
    """Send log lines to standard error, for people or (`as_json`) for machines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if as_json
        else PlainFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    )
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # It tells of each lost connection in ten lines; we are told by exceptions, and use one.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
