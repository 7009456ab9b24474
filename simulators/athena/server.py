"""The simulated service on a port: for the command line, and inside another event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from core.clock import utcnow
from core.listening import listen
from simulators.athena.app import create_app
from simulators.athena.faults import Faults
from simulators.athena.state import Simulator

#: Longer than clients keep idle connections, so that none is closed under a request.
_KEEP_ALIVE_S = 120

#: How long requests under way may take to end when the server stops.
_GRACE_S = 5


@dataclass(frozen=True)
class RunningSimulator:
    """A service that listens."""

    url: str
    app: FastAPI


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def cut(self, scope: Scope) -> None:
        """Cut the TCP connection of a request, without an answer."""
        client = tuple(scope["client"])
        for connection in self.server_state.connections:
            if isinstance(connection, H11Protocol) and connection.client == client:
                connection.transport.abort()


@asynccontextmanager
async def running(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    state_path: Path | None = None,
    faults: Faults | None = None,
    clock: Callable[[], datetime] = utcnow,
) -> AsyncIterator[RunningSimulator]:
    """Run the service in this event loop; port 0 takes a free one.

    Raises:
        PortTaken: Something else listens there.
        StorageUnavailable: The state cannot be kept at `state_path`.
    """
    app = create_app(state_path, faults, clock)
    listener = listen(host, port, what="Athena simulator", setting="--port")
    server = _Server(
        uvicorn.Config(
            app,
            http=H11Protocol,
            log_config=None,
            access_log=False,
            # Run by us, below: uvicorn would turn its exception into an exit of the process.
            lifespan="off",
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    simulator: Simulator = app.state.simulator
    simulator.injector.cut = server.cut
    with closing(listener):
        async with app.router.lifespan_context(app):
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                # It listens already: who connects before the server runs waits for it.
                yield RunningSimulator(_url(listener), app)
            finally:
                simulator.waiters.close()
                server.should_exit = True
                await serving


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    host: str,
    port: int,
    state_path: Path | None = None,
    faults: Faults | None = None,
    *,
    started: Callable[[str], None] = lambda _url: None,
) -> None:
    """Run the service until cancelled; `started` is told its address. Errors as `running`."""
    async with running(host=host, port=port, state_path=state_path, faults=faults) as simulator:
        started(simulator.url)
        await asyncio.Event().wait()
