"""Where the agent's messages go: the API by HTTP, or memory."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from core.errors import AthanorError, ConfigurationError, MessageRejected
from models.cryoem.messages import Message

logger = logging.getLogger(__name__)

MAX_MESSAGES = 500
MAX_BYTES = 4_000_000
#: Answers that say "later", besides all from 500.
_LATER = frozenset({408, 425, 429})
#: Answers that no choice of messages can change: the address or our right to use it is wrong.
_MISDIRECTED = frozenset({401, 403, 404, 405, 407})


class SendRejected(MessageRejected):
    """Some of the messages were refused for good; all others were taken."""

    def __init__(self, refused: Mapping[int, str]) -> None:
        #: Reason by index in the sequence that was sent.
        self.refused = dict(refused)
        reasons = "; ".join(f"message {index}: {why}" for index, why in self.refused.items())
        super().__init__(f"{len(self.refused)} messages were refused: {reasons[:500]}")


class SinkUnavailable(AthanorError):
    """The receiver cannot take messages now."""


class Sink(Protocol):
    """What takes messages from the agent."""

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when every message is stored for good.

        Raises:
            SendRejected: Some can never be stored; the others are.
            AthanorError: Sending again later may help; some may be stored already.
        """
        ...


class MemorySink:
    """Keeps messages in memory, in the order in which they came."""

    def __init__(self, refuse: Callable[[Message], str | None] = lambda _: None) -> None:
        self.messages: list[Message] = []
        self._refuse = refuse

    async def send(self, messages: Sequence[Message]) -> None:
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


class HttpSink:
    """Posts messages to Athanor's API, and keeps trying while that is away.

    Sending twice does no harm: the messages carry ids that the API recognises.
    """

    def __init__(
        self,
        api_url: str,
        source: str = "epu-agent",
        *,
        client: httpx.AsyncClient | None = None,
        longest_pause: float = 30.0,
    ) -> None:
        """Prepare, and connect to nothing.

        Args:
            api_url: Base URL of the API.
            source: Under which name the messages are stored.
            client: Used instead of one of our own, and left open.
            longest_pause: Most seconds between two tries.
        """
        self._url = f"{api_url.rstrip('/')}/messages"
        self._source = source
        self._own_client = client is None
        self._client = client or httpx.AsyncClient(timeout=httpx.Timeout(60.0, connect=5.0))
        self._longest_pause = longest_pause

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own_client:
            await self._client.aclose()

    async def send(self, messages: Sequence[Message]) -> None:
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
        answer = await self._post_stubbornly(b"[" + b",".join(bodies[i] for i in batch) + b"]")
        if answer.is_success:
            return {}
        if answer.status_code in _MISDIRECTED or not answer.is_client_error:
            raise ConfigurationError(
                f"{self._url} answered {answer.status_code}: is that the address of "
                "Athanor's API (ATHANOR_AGENT__API_URL)?"
            )
        named = {
            batch[index]: reason
            for index, reason in _named_culprits(answer).items()
            if 0 <= index < len(batch)
        }
        if named:
            return named | await self._post(bodies, [i for i in batch if i not in named])
        if len(batch) == 1:
            return {batch[0]: f"the API answered {answer.status_code}: {answer.text[:300]}"}
        half = len(batch) // 2
        return {
            **await self._post(bodies, batch[:half]),
            **await self._post(bodies, batch[half:]),
        }

    async def _post_stubbornly(self, body: bytes) -> httpx.Response:
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(SinkUnavailable),
            wait=wait_random_exponential(multiplier=0.2, max=self._longest_pause),
            before_sleep=_say_why,
        )
        return await attempts(self._post_once, body)

    async def _post_once(self, body: bytes) -> httpx.Response:
        try:
            answer = await self._client.post(
                self._url,
                params={"source": self._source},
                content=body,
                headers={"Content-Type": "application/json"},
            )
        except httpx.TransportError as error:
            raise SinkUnavailable(
                f"{self._url} cannot be reached: {error or type(error).__name__}"
            ) from error
        if answer.is_server_error or answer.status_code in _LATER:
            raise SinkUnavailable(f"{self._url} answered {answer.status_code}")
        return answer


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


def _named_culprits(answer: httpx.Response) -> dict[int, str]:
    """Return what a problem document says of single messages: reason by index."""
    try:
        problem = answer.json()
    except ValueError:
        return {}
    errors = problem.get("errors") if isinstance(problem, dict) else None
    culprits: dict[int, str] = {}
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict) and isinstance(error.get("index"), int):
            reason = f"{error.get('field', 'message')}: {error.get('reason', 'refused')}"
            known = culprits.get(error["index"])
            culprits[error["index"]] = f"{known}; {reason}" if known else reason
    return culprits


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
