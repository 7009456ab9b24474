"""The API's agent channel over HTTP, one question or answer at a time."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.epu.api import SinkUnavailable
from agent.instructions.received import Ended
from core.errors import AthanorError
from domains.cryoem import ids

#: Most log lines in one request; the API refuses more.
MAX_LOG_LINES = 500
#: Answers that say "later", besides all from 500.
_LATER = frozenset({408, 425, 429})
#: Answers that tell of our address or rights: they may be put right while we wait.
_NOT_ALLOWED = frozenset({401, 403, 407})


class ChannelRefused(AthanorError):
    """The API refuses what we say, and would refuse it again."""

    def __init__(self, message: str, *, status: int) -> None:
        self.status = status
        super().__init__(message)


class Followed(BaseModel):
    """A session that an agent is instructed for, as far as the agent needs to know it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session_id: str
    agent_id: str
    acquisition_uuid: UUID | None = None
    grid_uuid: UUID | None = None

    @property
    def grid(self) -> UUID | None:
        """Return the grid that it is about; None for no particular one."""
        if self.grid_uuid is None and self.acquisition_uuid is not None:
            return ids.grid_of(self.acquisition_uuid)
        return self.grid_uuid


class Channel:
    """Asks and answers for one agent; who calls decides when to try again."""

    def __init__(
        self,
        api_url: str,
        agent_id: str,
        *,
        token: str | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        """Prepare, and connect to nothing.

        Args:
            api_url: Base URL of the API.
            agent_id: Under which name we are instructed.
            token: Who we are, where the API asks for that.
            client: Used instead of one of our own, and left open.
        """
        self.url = api_url.rstrip("/")
        self.agent_id = agent_id
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._own_client = client is None
        self.client = client or httpx.AsyncClient(timeout=httpx.Timeout(30.0, connect=5.0))

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own_client:
            await self.client.aclose()

    def session_url(self, session_id: str) -> str:
        """Return where a session of ours is."""
        return (
            f"{self.url}/agent/{quote(self.agent_id, safe='')}/session/{quote(session_id, safe='')}"
        )

    async def sessions(self) -> list[Followed]:
        """Return the sessions that we are instructed for.

        Raises:
            SinkUnavailable: Ask again later.
            ChannelRefused: The API will not say.
        """
        answer = await self._send(
            "GET",
            f"{self.url}/agent/sessions",
            params={"agent_id": self.agent_id, "status": "active"},
        )
        try:
            found = answer.json()
            items = found["items"] if isinstance(found, dict) else found
            return [Followed.model_validate(one) for one in items]
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise ChannelRefused(
                f"{self.url}/agent/sessions answers what we do not understand", status=200
            ) from error

    async def acknowledge(self, session_id: str, instruction_id: str, ended: Ended | None) -> None:
        """Say that an instruction was received, or what came of it.

        Raises:
            SinkUnavailable: Say it again later.
            ChannelRefused: The API will not hear it.
        """
        body: dict[str, Any] = {"status": "received"}
        if ended is not None:
            body = {
                "status": ended.status,
                "result": ended.result,
                "error_message": ended.reason,
                "processing_time_ms": ended.took_ms,
                "processed_at": datetime.fromtimestamp(ended.at, UTC).isoformat(),
            }
        url = f"{self.session_url(session_id)}/instructions/{quote(instruction_id, safe='')}/ack"
        await self._send("POST", url, json=body)

    async def heartbeat(self, session_id: str) -> None:
        """Say that we are there.

        Raises:
            SinkUnavailable: Say it again later.
            ChannelRefused: The API will not hear it.
        """
        await self._send("POST", f"{self.session_url(session_id)}/heartbeat")

    async def log(self, session_id: str, lines: Sequence[Mapping[str, Any]]) -> None:
        """Hand in log lines, at most `MAX_LOG_LINES` of them.

        Raises:
            SinkUnavailable: Try again later.
            ChannelRefused: The API will not have them.
        """
        await self._send("POST", f"{self.session_url(session_id)}/logs", json={"logs": list(lines)})

    async def _send(self, method: str, url: str, **how: Any) -> httpx.Response:
        try:
            answer = await self.client.request(method, url, headers=self.headers, **how)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise SinkUnavailable(
                f"{url} cannot be reached: {error or type(error).__name__}"
            ) from error
        judge(answer, answer.text[:300] if not answer.is_success else "")
        return answer


def judge(answer: httpx.Response, said: str) -> None:
    """Return if the answer is a good one.

    Raises:
        SinkUnavailable: It may be a good one later.
        ChannelRefused: It will not.
    """
    if answer.is_success:
        return
    status = answer.status_code
    about = f"{answer.request.url} answered {status}"
    if answer.is_server_error or status in _LATER or status in _NOT_ALLOWED:
        raise SinkUnavailable(about if answer.is_server_error else f"{about}: {said}")
    raise ChannelRefused(f"{about}: {said}", status=status)
