"""How the worker is, for whoever looks at its metrics."""

from collections.abc import Callable, Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core import metrics
from entrypoints.worker.health import WorkerHealth


class WorkerMetrics(Collector):
    """Asks a worker for its health when somebody looks."""

    def __init__(self, health: Callable[[], WorkerHealth]) -> None:
        """Take whom to ask."""
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Yield runs, places, and whether Prefect is reached."""
        health = self._health()
        for family, value in (
            (metrics.WORKER_RUNS, health.running),
            (metrics.WORKER_PLACES, health.max_runs),
            (metrics.WORKER_CONNECTED, health.problem is None and health.last_poll is not None),
            (metrics.WORKER_POLLED, health.last_poll.timestamp() if health.last_poll else 0),
        ):
            shown = family.gauge()
            shown.add_metric([], float(value))
            yield shown
