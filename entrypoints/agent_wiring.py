"""Put an agent together from settings and options."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.epu.agent import Agent
from agent.epu.api import Api
from agent.epu.endings import Endings
from agent.epu.metrics import AgentMetrics
from agent.epu.mounts import remote_file_system
from agent.epu.sender import Sender, SpoolSink
from agent.epu.sink import Sink
from agent.epu.spool import Spool
from agent.epu.state import StateFolder
from agent.epu.watch import Watcher
from core.path_map import PathMap
from core.settings import AgentSettings, Settings
from core.version import version
from entrypoints.measuring import metrics_shown

#: What is remembered of sessions without news for so long is dropped.
_FORGET_AFTER_SECONDS = 90 * 24 * 3600


@dataclass(frozen=True)
class Watch:
    """What is to be watched, and how."""

    folder: Path
    atlas: Path | None
    path_map: PathMap
    polling: bool
    settings: AgentSettings

    @classmethod
    def of(
        cls,
        settings: Settings,
        folder: Path,
        *,
        atlas: Path | None,
        path_map: list[str] | None,
        polling: bool,
    ) -> "Watch":
        """Return what options and settings say together.

        Raises:
            ConfigurationError: A path map is not understood.
        """
        how = settings.agent.polling
        is_remote = how == "auto" and folder.is_dir() and remote_file_system(folder) is not None
        return cls(
            folder,
            atlas,
            PathMap.parse((*(path_map or ()), *settings.agent.path_map)),
            polling or how == "always" or is_remote,
            settings.agent,
        )

    def watcher(self, sink: Sink, *, endings: Endings | None = None) -> Watcher:
        """Return the watcher that reports to a sink."""
        settings = self.settings
        return Watcher(
            self.folder,
            sink,
            settle_seconds=settings.settle_seconds,
            give_up_seconds=settings.give_up_seconds,
            rescan_seconds=settings.poll_seconds if self.polling else settings.rescan_seconds,
            max_bytes=settings.max_file_bytes,
            path_map=self.path_map,
            atlas=self.atlas,
            polling=self.polling,
            endings=endings,
        )


@asynccontextmanager
async def agent(watch: Watch, *, home: Path, api_url: str, afresh: bool) -> AsyncIterator[Agent]:
    """Give an agent on its own spool.

    Args:
        watch: What is to be watched.
        home: The folder for everything that Athanor keeps.
        api_url: Where it reports to.
        afresh: Report all files anew, whatever was reported before.

    Raises:
        StorageUnavailable: The spool cannot be used.
    """
    settings = watch.settings
    state = StateFolder.of(home, watch.folder)
    with Spool.open(state.spool_path, max_bytes=settings.spool_max_bytes) as spool:
        spool.serve(api_url.rstrip("/"))
        spool.forget_files(silent_since=None if afresh else time.time() - _FORGET_AFTER_SECONDS)
        api = Api(api_url, key=settings.key)
        sender = Sender(spool, api)
        endings = Endings(
            idle_seconds=settings.session_idle_hours * 3600, marker=settings.session_end_marker
        )
        facts: dict[str, Any] = {"version": version(), "api": api_url, "polling": watch.polling}
        try:
            yield Agent(
                watch.folder,
                watch.watcher(SpoolSink(spool, sender), endings=endings),
                sender,
                spool,
                state,
                facts=facts,
            )
        finally:
            await api.aclose()


@asynccontextmanager
async def measured(running: Agent, settings: Settings) -> AsyncIterator[None]:
    """Show an agent's metrics while the context lasts, if a port is set.

    Raises:
        PortTaken: Something else listens there.
    """
    collector = AgentMetrics(
        running.report,
        loop=asyncio.get_running_loop(),
        spool_max_bytes=settings.agent.spool_max_bytes,
    )
    async with metrics_shown(settings, collector):
        yield


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Let Ctrl-C and a request to terminate end what runs on this loop."""
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        return
    # Windows' loops have no handlers of their own; Ctrl-Break is its request to terminate.
    for number in (signal.SIGINT, signal.SIGBREAK, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
