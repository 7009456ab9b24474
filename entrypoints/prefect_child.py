"""The process of our Prefect server: `python -m entrypoints.prefect_child`.

Started by `entrypoints.prefect_server` only, with Prefect's settings in the environment and
a pipe as standard input that the parent never writes to. When the parent is gone, however
it went, the pipe ends and so does the server: no other way works on every system.
"""

import os
import signal
import sys
import threading
from typing import Any, Final

import uvicorn
from prefect.server.database import configurations
from sqlalchemy import URL, AsyncAdaptedQueuePool, make_url
from sqlalchemy.ext.asyncio import AsyncEngine

#: Seconds that the server gets to end by itself once its parent is gone.
_LAST_SECONDS: Final = 5.0

#: Seconds that a request may queue for the database.
_QUEUE_SECONDS: Final = 60.0

#: Seconds that open connections (event streams never end) get at shutdown.
_GRACEFUL_SECONDS: Final = 2


def main() -> None:
    """Serve until told to stop or until the parent is gone."""
    _one_sqlite_connection()
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host=os.environ["PREFECT_SERVER_API_HOST"],
        port=int(os.environ["PREFECT_SERVER_API_PORT"]),
        log_level="warning",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
    )


def _one_sqlite_connection() -> None:
    """Let the server's coroutines queue for SQLite instead of fighting for its lock.

    Prefect opens up to fifteen connections whose transactions then refuse one another; the
    client waits 2, 4, 8 … s after each refusal. Measured, 40 runs created one after the other
    and executed: 42 s as it is, 4 s with one connection. Prefect itself does the same with
    databases in memory, and offers no setting for those in files.
    """
    original = configurations.create_async_engine  # pyright: ignore[reportPrivateImportUsage]

    def create(url: str | URL, **options: Any) -> AsyncEngine:
        if make_url(url).get_backend_name() == "sqlite":
            options |= {
                "poolclass": AsyncAdaptedQueuePool,
                "pool_size": 1,
                "max_overflow": 0,
                "pool_timeout": _QUEUE_SECONDS,
            }
        return original(url, **options)

    configurations.create_async_engine = create  # pyright: ignore[reportPrivateImportUsage]


def _end_with_parent() -> None:
    """Stop this process when standard input ends."""
    # Not sys.stdin: its lock would be held while the interpreter shuts down.
    while os.read(0, 1):
        pass
    deadline = threading.Timer(_LAST_SECONDS, os._exit, args=(1,))
    deadline.daemon = True
    deadline.start()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
