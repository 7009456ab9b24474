"""How long Athena takes, by operation and by how it ended."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from core import metrics
from core.errors import (
    AthenaConflict,
    AthenaError,
    AthenaNotFound,
    AthenaOutcomeUnknown,
    AthenaRejected,
    AthenaUnavailable,
)

_OUTCOMES: Final = {
    AthenaUnavailable: "unavailable",
    AthenaOutcomeUnknown: "unknown",
    AthenaRejected: "rejected",
    AthenaNotFound: "not_found",
    AthenaConflict: "conflict",
}
#: Steps of a path that say which, not what: uuids and numbers.
_IDENT = re.compile(r"/(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|-?\d+)(?=/|$)")


def operation(method: str, path: str) -> str:
    """Return what a request does, the same for all ids: `GET Session/{id}/Decisions`."""
    return f"{method} {_IDENT.sub('/{id}', path)}"


@contextmanager
def measured(method: str, path: str) -> Iterator[None]:
    """Count a request and how long it takes, however it ends."""
    outcome = "cancelled"
    started = time.perf_counter()
    try:
        yield
        outcome = "ok"
    except AthenaError as error:
        outcome = _OUTCOMES.get(type(error), "error")
        raise
    finally:
        metrics.ATHENA_SECONDS.labels(operation(method, path), outcome).observe(
            time.perf_counter() - started
        )
