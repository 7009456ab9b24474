"""The stream of one page: what it missed, what there is, then what happens."""

from collections.abc import AsyncIterator
from dataclasses import replace
from time import monotonic
from typing import Any

from api.live.events import Wanted, look_up_sight, read_news, snapshot
from api.live.frames import frame
from api.live.hub import Hub, Subscription
from api.live.limits import Limits
from api.state import Services
from core.caller import current_caller
from core.clock import as_text, utcnow
from messaging.doorbell import woken
from models.cryoem.instructions.live import EventType


async def page_frames(
    services: Services, hub: Hub, limits: Limits, wanted: Wanted, *, caller: str, seen: int | None
) -> AsyncIterator[bytes]:
    """Yield a page's events until its reader goes, or the server stops.

    Args:
        services: Collaborators of the API.
        hub: Tells what happens.
        limits: Counts this stream.
        wanted: What it shows.
        caller: Whose stream it is.
        seen: The event that the page saw last, when it comes back.
    """
    settings = services.settings.streams
    began = monotonic()
    with limits.counted("page", caller):
        async with hub.pages(await _seen_by_caller(services, wanted)) as page:
            yield await _first(services, page, seen)
            beat = began
            while not hub.closing:
                if wanted.has(EventType.HEARTBEAT) and monotonic() >= beat:
                    beat = monotonic() + settings.heartbeat_seconds
                    page.wanted = await _seen_by_caller(services, page.wanted)
                    yield _heartbeat(page.since, began)
                await woken(page.event, timeout=max(beat - monotonic(), 0.0))
                if page.lost:
                    yield frame("error", _fell_behind())
                    return
                if frames := page.take():
                    yield frames


async def _first(services: Services, page: Subscription, seen: int | None) -> bytes:
    """Return what there is, after what was missed."""
    frames: list[bytes] = []
    most = services.settings.streams.replay_events
    if seen is not None and most and seen < page.since:
        missed = await services.database.read(
            read_news, max(seen, page.since - most), limit=most, upto=page.since
        )
        frames += [one.frame for one in missed.shown if page.wanted.takes(one)]
    now = await services.database.read(snapshot, page.wanted, page.since)
    return b"".join([*frames, *(one.frame for one in now)])


async def _seen_by_caller(services: Services, wanted: Wanted) -> Wanted:
    if current_caller().sees_all:
        return wanted
    return replace(wanted, sight=await services.database.read(look_up_sight))


def _heartbeat(seq: int, began: float) -> bytes:
    data = {
        "timestamp": as_text(utcnow()),
        "connection_time_s": round(monotonic() - began, 3),
    }
    return frame(EventType.HEARTBEAT, data, ident=seq)


def _fell_behind() -> dict[str, Any]:
    message = "The page takes events too slowly. Connect again for what was missed."
    return {"type": "error", "error": "fell_behind", "message": message}
