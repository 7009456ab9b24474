"""How the agent stands, for whoever looks at its metrics."""

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent.epu.agent import Report
from core import metrics
from core.errors import AthanorError

#: Somebody who looks does not wait longer, in seconds.
_PATIENCE = 3.0


class AgentMetrics(Collector):
    """Asks an agent for its report when somebody looks, from whatever thread."""

    def __init__(
        self,
        report: Callable[[], Awaitable[Report]],
        *,
        loop: AbstractEventLoop,
        spool_max_bytes: int,
    ) -> None:
        """Take whom to ask, on which loop it runs, and how much its spool may hold."""
        self._report = report
        self._loop = loop
        self._spool_max_bytes = spool_max_bytes

    def collect(self) -> list[Metric]:
        """Return files, spool and ages; nothing where the agent does not answer in time."""
        if self._loop.is_closed():
            return []
        asked = asyncio.run_coroutine_threadsafe(self._asked(), self._loop)
        try:
            report = asked.result(_PATIENCE)
        except (TimeoutError, CancelledError, AthanorError):
            asked.cancel()
            return []
        return _shown(report, self._spool_max_bytes)

    async def _asked(self) -> Report:
        return await self._report()


def _shown(report: Report, spool_max_bytes: int) -> list[Metric]:
    watched, spool = report.watched, report.depth
    oldest_file = max((file.age_seconds for file in watched.waiting_files), default=0.0)
    unsent = 0.0 if spool.oldest is None else max(time.time() - spool.oldest, 0.0)
    files = {"sent": watched.sent, "waiting": watched.waiting, "failed": watched.failed}
    messages = {"unsent": spool.messages, "refused": spool.dead}
    return [
        _labelled(metrics.AGENT_FILES, files),
        _labelled(metrics.AGENT_REPORTED, watched.kinds),
        _single(metrics.AGENT_WAITING_AGE, oldest_file),
        _single(metrics.AGENT_LAST_EVENT, watched.last_event or 0.0),
        _single(metrics.AGENT_PAUSED, float(watched.paused is not None)),
        _labelled(metrics.AGENT_SPOOL_MESSAGES, messages),
        _single(metrics.AGENT_SPOOL_BYTES, spool.bytes),
        _single(metrics.AGENT_SPOOL_MAX_BYTES, spool_max_bytes),
        _single(metrics.AGENT_SPOOL_OLDEST, unsent),
    ]


def _single(family: metrics.Family, value: float) -> Metric:
    shown = family.gauge()
    shown.add_metric([], value)
    return shown


def _labelled(family: metrics.Family, values: Mapping[str, int]) -> Metric:
    shown = family.gauge()
    for label, value in values.items():
        shown.add_metric([label], value)
    return shown
