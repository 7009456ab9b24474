"""The stream of server-sent events that brings instructions, for as long as it takes."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, NamedTuple

import httpx
from httpx_sse import EventSource, SSEError

from agent.epu.api import SinkUnavailable
from agent.instructions.channel import Channel, ChannelRefused, judge
from core.errors import AthanorError

logger = logging.getLogger(__name__)

_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
#: The API sends a heartbeat every 30 s; a stream that says nothing for so long is dead.
_SILENCE_SECONDS = 75.0


class Event(NamedTuple):
    """One event of the stream."""

    kind: str
    data: dict[str, Any]


class InstructionStream:
    """One session's stream: connected again, ever more seldom, whenever it breaks off."""

    def __init__(
        self,
        channel: Channel,
        session_id: str,
        *,
        longest_pause: float = _LONGEST_PAUSE,
        on_trouble: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        """Prepare, and connect to nothing.

        Args:
            channel: Where the API is.
            session_id: Whose instructions.
            longest_pause: Most seconds between two tries.
            on_trouble: Told what is wrong, and None when it is well again.
        """
        self._channel = channel
        self._session_id = session_id
        self._longest_pause = longest_pause
        self._on_trouble = on_trouble
        self._last_id = ""

    async def events(self) -> AsyncGenerator[Event]:
        """Yield what comes, for ever.

        Raises:
            ChannelRefused: There is no such session any more.
        """
        pause = 0.0
        while True:
            try:
                async with aclosing(self._connected()) as connected:
                    async for event in connected:
                        if event.kind == "error":
                            said = event.data.get("message", event.data)
                            raise SinkUnavailable(f"the stream ends: {said}")
                        if event.kind != "connection":
                            # Two agents of one name would push each other off at once again.
                            pause = 0.0
                        self._on_trouble(None)
                        yield event
                raise SinkUnavailable("the stream has ended")
            except AthanorError as error:
                if isinstance(error, ChannelRefused):
                    raise
                pause = min(max(2 * pause, _SHORTEST_PAUSE), self._longest_pause)
                # Not all agents of a facility shall come back in the same moment.
                moment = pause * random.uniform(0.5, 1.0)  # noqa: S311 (no secret)
                self._on_trouble(str(error))
                logger.info(
                    "No instructions for session %s: %s; trying again in %.1f s",
                    self._session_id,
                    error,
                    moment,
                    extra={"action": "stream_broken", "domain": "cryoem"},
                )
                await asyncio.sleep(moment)

    async def _connected(self) -> AsyncGenerator[Event]:
        """Yield the events of one connection."""
        url = f"{self._channel.session_url(self._session_id)}/instructions/stream"
        headers = {**self._channel.headers, "Accept": "text/event-stream"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        timeout = httpx.Timeout(10.0, read=_SILENCE_SECONDS)
        try:
            async with self._channel.client.stream(
                "GET", url, headers=headers, timeout=timeout
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                    judge(answer, answer.text[:300])
                async with aclosing(EventSource(answer).aiter_sse()) as events:
                    async for sent in events:
                        data = _data(sent.data)
                        if data is not None:
                            yield Event(sent.event, data)
                        # Only now: what was yielded is noted on the disk.
                        self._last_id = sent.id or self._last_id
        except (httpx.TransportError, httpx.InvalidURL, SSEError) as error:
            raise SinkUnavailable(f"{url}: {error or type(error).__name__}") from error


def _data(text: str) -> dict[str, Any] | None:
    """Return an event's data; None for what is no object of ours."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
