"""Metrics on a port of their own, for processes that serve no HTTP API."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client.registry import Collector

from core.exposition import MetricsServer, gathered
from core.settings import Settings


def metrics_services(settings: Settings, *collectors: Collector) -> list[MetricsServer]:
    """Return what shows this process's metrics, and these: nothing where no port is set."""
    chosen = settings.metrics
    if chosen.port is None:
        return []
    return [MetricsServer(gathered(*collectors), host=chosen.host, port=chosen.port)]


@asynccontextmanager
async def metrics_shown(settings: Settings, *collectors: Collector) -> AsyncIterator[None]:
    """Show this process's metrics, and these, while the context lasts, if a port is set.

    Raises:
        PortTaken: Something else listens there.
    """
    async with AsyncExitStack() as stack:
        for service in metrics_services(settings, *collectors):
            stack.push_async_callback(service.stop)
            await service.start()
        yield
