"""The API on a port, as a service among others in one event loop."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from api.live.state import end_streams
from core.listening import listen

#: How long requests under way may take to end when the server stops, in seconds.
_GRACE_SECONDS = 5


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Serves one application; `start`, then `wait` or `stop`."""

    name = "API"

    def __init__(
        self, app: ASGIApp, *, host: str, port: int, trusted_proxies: Sequence[str] = ()
    ) -> None:
        """Take what to serve and where; nothing is opened. Port 0 takes a free one.

        Of `trusted_proxies` alone is believed whom they forward for, and by which scheme.
        """
        self._app = app
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                lifespan="off",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it answers, for a client on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 (compared)
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen; when this returns, requests are answered.

        Raises:
            PortTaken: Something else listens there.
            ConfigurationError: The address cannot be listened on.
        """
        listener = listen(self._host, self._port, what=self.name, setting="ATHANOR_API__PORT")
        self._port = listener.getsockname()[1]
        # It listens already: who connects before the server runs waits for it.
        self._serving = asyncio.create_task(self._serve(listener), name="api-server")

    async def wait(self) -> None:
        """Return when it has ended."""
        if self._serving:
            await asyncio.shield(self._serving)

    async def stop(self) -> None:
        """Let requests under way end, and streams at once; then stop listening."""
        self._server.should_exit = True
        end_streams(self._app)
        if self._serving:
            await self._serving

    async def _serve(self, listener: socket.socket) -> None:
        with listener:
            await self._server.serve(sockets=[listener])
