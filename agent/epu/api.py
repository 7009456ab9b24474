"""Athanor's API as the agent sees it: a batch of messages is taken, refused, or tried later."""

import asyncio
import gzip
from collections.abc import Mapping, Sequence

import httpx

from core.errors import AthanorError, ConfigurationError, MessageRejected

#: Most of one request; the API's own limits are higher.
MAX_MESSAGES = 500
MAX_BYTES = 4_000_000
#: Answers that say "later", besides all from 500.
_LATER = frozenset({408, 425, 429})
#: Answers that no choice of messages can change: the address or our right to use it is wrong.
_MISDIRECTED = frozenset({404, 405, 407})
#: Answers that say that our key is missing, worthless, or not good for this.
_LOCKED_OUT = frozenset({401, 403})
#: Smaller bodies gain nothing by being packed.
_WORTH_PACKING = 1_000


class SinkUnavailable(AthanorError):
    """The receiver cannot take messages now."""


class BatchRefused(MessageRejected):
    """A batch was refused for good, and nothing of it stored."""

    def __init__(self, named: Mapping[int, str], reason: str) -> None:
        #: What the answer says of single messages: reason by index in the batch.
        self.named = dict(named)
        self.reason = reason
        super().__init__(reason)


class Api:
    """Posts batches of messages, once each: who calls decides when to try again."""

    def __init__(
        self,
        api_url: str,
        source: str = "epu-agent",
        *,
        key: str | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        """Prepare, and connect to nothing.

        Args:
            api_url: Base URL of the API.
            source: Under which name the messages are stored.
            key: What the API asks for, where it does: an API key or another token.
            client: Used instead of one of our own, and left open.
        """
        self.url = f"{api_url.rstrip('/')}/messages"
        self._source = source
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._own_client = client is None
        self._client = client or httpx.AsyncClient(timeout=httpx.Timeout(60.0, connect=5.0))

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own_client:
            await self._client.aclose()

    async def post(self, bodies: Sequence[bytes], *, key: str | None = None) -> None:
        """Post messages, each as JSON; return when all of them are stored.

        Args:
            bodies: At least one, in order.
            key: Names the batch: the same on each try of the same messages.

        Raises:
            SinkUnavailable: Try again later; they may be stored or not.
            ConfigurationError: The address is wrong, or we have no right to use it.
            BatchRefused: These messages will never be taken together.
        """
        body = b"[" + b",".join(bodies) + b"]"
        headers = dict(self._headers)
        if key is not None:
            headers["Idempotency-Key"] = key
        if len(body) >= _WORTH_PACKING:
            # Without a time in it, the same messages are the same bytes.
            body = await asyncio.to_thread(gzip.compress, body, 1, mtime=0)
            headers["Content-Encoding"] = "gzip"
        try:
            answer = await self._client.post(
                self.url, params={"source": self._source}, content=body, headers=headers
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigurationError(f"{self.url} is no address of an API: {error}") from error
        except httpx.TransportError as error:
            raise SinkUnavailable(
                f"{self.url} cannot be reached: {error or type(error).__name__}"
            ) from error
        self._judge(answer, len(bodies))

    def _judge(self, answer: httpx.Response, sent: int) -> None:
        if answer.is_success:
            return
        status = answer.status_code
        if answer.is_server_error or status in _LATER:
            raise SinkUnavailable(f"{self.url} answered {status}")
        if status in _LOCKED_OUT:
            raise ConfigurationError(
                f"{self.url} answered {status}: {_detail(answer)} `athanor keys add NAME` makes a "
                "key, which ATHANOR_AGENT__API_KEY takes."
            )
        if status in _MISDIRECTED or not answer.is_client_error:
            raise ConfigurationError(
                f"{self.url} answered {status}: is that the address of "
                "Athanor's API (ATHANOR_AGENT__API_URL)?"
            )
        named = {i: reason for i, reason in _named_culprits(answer).items() if 0 <= i < sent}
        raise BatchRefused(named, f"the API answered {status}: {answer.text[:300]}")


def _detail(answer: httpx.Response) -> str:
    """Return what a problem document says, if it is one."""
    try:
        problem = answer.json()
    except ValueError:
        return ""
    return str(problem.get("detail", ""))[:300] if isinstance(problem, dict) else ""


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
