"""Where the agent's messages go: the API by HTTP, the spool on disk, or memory."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from agent.epu.api import MAX_BYTES, MAX_MESSAGES, Api, BatchRefused, SinkUnavailable
from agent.epu.remembered import NOTHING, Ending, FileRecord, Remembered
from core.errors import MessageRejected
from models.cryoem.messages import Message

logger = logging.getLogger(__name__)


class SendRejected(MessageRejected):
    """Some of the messages were refused for good; all others were taken."""

    def __init__(self, refused: Mapping[int, str]) -> None:
        #: Reason by index in the sequence that was sent.
        self.refused = dict(refused)
        reasons = "; ".join(f"message {index}: {why}" for index, why in self.refused.items())
        super().__init__(f"{len(self.refused)} messages were refused: {reasons[:500]}")


class Sink(Protocol):
    """What takes messages from the agent."""

    async def send(
        self,
        messages: Sequence[Message],
        *,
        files: Sequence[FileRecord] = (),
        ending: Ending | None = None,
    ) -> None:
        """Return when every message is stored for good.

        Args:
            messages: In the order in which they are to arrive.
            files: What to remember once the messages are stored.
            ending: The session's end that one of the messages is about.

        Raises:
            SendRejected: Some can never be stored; the others are.
            AthanorError: Sending again later may help; some may be stored already.
        """
        ...

    async def recall(self, grid: UUID) -> Remembered:
        """Return what is remembered of a grid."""
        ...


class _Forgetful:
    """A sink that knows nothing of what was reported before its time."""

    async def recall(self, grid: UUID) -> Remembered:  # noqa: ARG002 (it remembers nothing)
        """Return nothing."""
        return NOTHING


class MemorySink(_Forgetful):
    """Keeps messages in memory, in the order in which they came."""

    def __init__(self, refuse: Callable[[Message], str | None] = lambda _: None) -> None:
        self.messages: list[Message] = []
        self._refuse = refuse

    async def send(
        self,
        messages: Sequence[Message],
        *,
        files: Sequence[FileRecord] = (),  # noqa: ARG002 (it remembers nothing)
        ending: Ending | None = None,  # noqa: ARG002 (as above)
    ) -> None:
        """Keep the messages that are not to be refused."""
        refused: dict[int, str] = {}
        for index, message in enumerate(messages):
            reason = self._refuse(message)
            if reason is None:
                self.messages.append(message)
            else:
                refused[index] = reason
        if refused:
            raise SendRejected(refused)


class PrintingSink(_Forgetful):
    """Says what would be sent, and sends nothing."""

    def __init__(self, say: Callable[[str], None], *, as_json: bool = False) -> None:
        self._say = say
        self._as_json = as_json

    async def send(
        self,
        messages: Sequence[Message],
        *,
        files: Sequence[FileRecord] = (),  # noqa: ARG002 (it remembers nothing)
        ending: Ending | None = None,  # noqa: ARG002 (as above)
    ) -> None:
        """Say a line for each message: the whole of it as JSON, or what it is about."""
        for message in messages:
            if self._as_json:
                self._say(message.model_dump_json())
            else:
                kind = getattr(message, "event_type", "")
                self._say(f"{kind} {getattr(message, 'path', '')} {message.message_id}")


class HttpSink(_Forgetful):
    """Posts messages to Athanor's API at once, keeping nothing: it waits while that is away.

    Sending twice does no harm: the messages carry ids that the API recognises. What must
    outlive this process goes through the spool instead.
    """

    def __init__(
        self,
        api_url: str,
        source: str = "epu-agent",
        *,
        key: str | None = None,
        client: httpx.AsyncClient | None = None,
        longest_pause: float = 30.0,
    ) -> None:
        """Prepare, and connect to nothing.

        Args:
            api_url: Base URL of the API.
            source: Under which name the messages are stored.
            key: What the API asks for, where it does: an API key or another token.
            client: Used instead of one of our own, and left open.
            longest_pause: Most seconds between two tries.
        """
        self._api = Api(api_url, source, key=key, client=client)
        self._longest_pause = longest_pause

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._api.aclose()

    async def send(
        self,
        messages: Sequence[Message],
        *,
        files: Sequence[FileRecord] = (),  # noqa: ARG002 (it remembers nothing)
        ending: Ending | None = None,  # noqa: ARG002 (as above)
    ) -> None:
        """Post the messages in order, in bounded batches; see `Sink.send`."""
        bodies = [message.model_dump_json().encode() for message in messages]
        refused: dict[int, str] = {}
        for batch in _batches(bodies):
            refused |= await self._post(bodies, batch)
        if refused:
            raise SendRejected(dict(sorted(refused.items())))

    async def _post(self, bodies: Sequence[bytes], batch: Sequence[int]) -> dict[int, str]:
        """Post the bodies at some indices; return why which of them were refused."""
        if not batch:
            return {}
        try:
            await self._post_stubbornly([bodies[index] for index in batch])
        except BatchRefused as refusal:
            named = {batch[index]: reason for index, reason in refusal.named.items()}
            if named:
                return named | await self._post(bodies, [i for i in batch if i not in named])
            if len(batch) == 1:
                return {batch[0]: refusal.reason}
            half = len(batch) // 2
            return {
                **await self._post(bodies, batch[:half]),
                **await self._post(bodies, batch[half:]),
            }
        return {}

    async def _post_stubbornly(self, bodies: Sequence[bytes]) -> None:
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(SinkUnavailable),
            wait=wait_random_exponential(multiplier=0.2, max=self._longest_pause),
            before_sleep=_say_why,
        )
        await attempts(self._api.post, bodies)


def _batches(bodies: Sequence[bytes]) -> Iterator[list[int]]:
    batch: list[int] = []
    size = 0
    for index, body in enumerate(bodies):
        if batch and (len(batch) == MAX_MESSAGES or size + len(body) > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(index)
        size += len(body)
    if batch:
        yield batch


def _say_why(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    logger.warning(
        "%s; trying again in %.1f s (attempt %d)",
        error,
        pause,
        state.attempt_number,
        extra={"action": "send_postponed", "domain": "cryoem"},
    )
