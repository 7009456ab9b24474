"""How a process shows its metrics: gathered in one place, and served on a port of their own."""

import asyncio
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core import metrics
from core.listening import listen
from core.version import version

#: How often the serving thread looks whether it shall end, in seconds.
_LOOK_EVERY = 0.2


class BuildInfo(Collector):
    """Tells which version runs."""

    def collect(self) -> list[Metric]:
        """Return the version as a label."""
        family = metrics.BUILD_INFO.gauge()
        family.add_metric([version()], 1)
        return [family]


def gathered(*collectors: Collector) -> CollectorRegistry:
    """Return all that this process shows: what it counts, what it weighs, and these."""
    registry = CollectorRegistry(support_collectors_without_names=True)
    ProcessCollector(registry=registry)
    for collector in (metrics.REGISTRY, BuildInfo(), *collectors):
        registry.register(collector)
    return registry


class _QuietHandler(WSGIRequestHandler):
    """Logs no line for each scrape."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (as it is called)
        pass


class MetricsServer:
    """Serves `/metrics` from a thread; `start`, then `wait` or `stop`."""

    name = "metrics"

    def __init__(self, registry: CollectorRegistry, *, host: str, port: int) -> None:
        """Take what to show and where; nothing is opened. Port 0 takes a free one."""
        self._app = make_wsgi_app(registry)
        self._host = host
        self._port = port
        self._server: ThreadingWSGIServer | None = None
        self._thread: Thread | None = None
        self._stopped = asyncio.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    async def start(self) -> None:
        """Listen and answer.

        Raises:
            PortTaken: Something else listens there.
            ConfigurationError: The address cannot be listened on.
        """
        listener = listen(self._host, self._port, what="metrics", setting="ATHANOR_METRICS__PORT")
        self._port = listener.getsockname()[1]
        address = (self._host, self._port)
        server = ThreadingWSGIServer(address, _QuietHandler, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.server_name, server.server_port = address
        server.setup_environ()
        server.set_app(self._app)
        self._server = server
        self._thread = Thread(
            target=server.serve_forever, args=(_LOOK_EVERY,), name="metrics", daemon=True
        )
        self._thread.start()

    async def wait(self) -> None:
        """Return when it was stopped."""
        await self._stopped.wait()

    async def stop(self) -> None:
        """Stop listening."""
        if self._server and self._thread:
            await asyncio.to_thread(self._server.shutdown)
            await asyncio.to_thread(self._thread.join)
            self._server.server_close()
        self._stopped.set()
