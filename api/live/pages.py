"""The stream of one page: what it missed, what there is, then what happens."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from time import monotonic
from typing import Final

from api.live import grants
from api.live.events import Wanted, look_up_sight, read_news, snapshot
from api.live.frames import error_of, frame
from api.live.grants import Grant
from api.live.hub import Hub, Subscription
from api.live.limits import Limits
from api.state import Services
from core.caller import current_caller
from core.clock import as_text, utcnow
from models.cryoem.instructions.live import EventType

_FELL_BEHIND: Final = "The page takes events too slowly. Connect again for what was missed."


async def page_frames(
    services: Services,
    hub: Hub,
    limits: Limits,
    wanted: Wanted,
    *,
    grant: Grant,
    seen: int | None,
) -> AsyncGenerator[bytes]:
    """Yield a page's events until its reader goes, or the server stops.

    Args:
        services: Collaborators of the API.
        hub: Tells what happens.
        limits: Counts this stream.
        wanted: What it shows.
        grant: By what its reader may have it, and whose it is.
        seen: The event that the page saw last, when it comes back.
    """
    settings = services.settings.streams
    began = monotonic()
    with limits.counted("page", grant.counted):
        async with hub.pages(await _seen_by_caller(services, wanted)) as page:
            yield await _first(services, page, seen)
            while not hub.closing:
                if frames := await page.take():
                    yield frames
                if page.lost:
                    yield frame("error", error_of("fell_behind", _FELL_BEHIND))
                    return
                if page.beat_due:
                    page.beat_after(settings.heartbeat_seconds)
                    if not await grant.lasts():
                        yield frame("error", error_of(grants.ENDED, grants.MESSAGE))
                        return
                    page.wanted = await _seen_by_caller(services, page.wanted)
                    if wanted.has(EventType.HEARTBEAT):
                        yield _heartbeat(page.since, began)


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
