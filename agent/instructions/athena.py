"""The driver that lets Athena carry instructions out, and believes only what it finds there.

Athanor's server sends the decisions that an instruction rests on to Athena, and the microscope
asks Athena for them before it collects a square or a hole. So there is nothing to do a second
time; but whether Athena has what the microscope is to be told is seen only by asking.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx

from agent.instructions.driver import decline_unknown, described
from agent.instructions.received import Instruction, InstructionDeclined
from core.errors import AthanorError

#: Questions that are asked of Athena at once.
_AT_ONCE = 8
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0


_NOTHING_TO_ASK = (
    "The instruction rests on no decision of Athanor's that Athena could have, so nothing would "
    "make the microscope follow it"
)


class NotAtAthena(AthanorError):
    """Athena does not have, or not as instructed, what the microscope is to be told."""


@dataclass(frozen=True, slots=True)
class _Expected:
    """A decision that Athena should have, and what it should say; None for anything."""

    id: UUID
    value: str | None


class AthenaDriver:
    """Confirms that Athena has the decisions behind an instruction."""

    name = "athena"

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        verify: bool = True,
        wait_seconds: float = 60.0,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        """Prepare, and connect to nothing.

        Args:
            url: Base URL of the service, without `/api/v1`.
            token: Bearer token, when one is asked for.
            verify: Check its TLS certificate.
            wait_seconds: How long decisions may take from Athanor to Athena.
            client: Used instead of one of our own, and left open.
        """
        self._url = f"{url.rstrip('/')}/api/v1"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._wait_seconds = wait_seconds
        self._own_client = client is None
        self._client = client or httpx.AsyncClient(timeout=30.0, verify=verify)
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own_client:
            await self._client.aclose()

    async def act(self, instruction: Instruction, *, repeated: bool) -> str:  # noqa: ARG002 (asking twice is as good as once)
        """Wait until Athena has every decision that the instruction rests on.

        Raises:
            InstructionDeclined: Athena has no part in it.
            NotAtAthena: It does not have them in time, or they say something else.
        """
        decline_unknown(instruction)
        names, expected = _rests_on(instruction)
        try:
            async with asyncio.timeout(self._wait_seconds):
                name = await self._confirm(names, expected)
        except TimeoutError as error:
            raise NotAtAthena(
                f"Athena does not have all {len(expected)} decisions of {' or '.join(names)} "
                f"after {self._wait_seconds:g} s"
            ) from error
        return (
            f"Athena has {len(expected)} decision{'s' if len(expected) > 1 else ''} of {name}, "
            f"and tells the microscope when it asks: {described(instruction)}"
        )

    async def _confirm(self, names: list[str], expected: list[_Expected]) -> str:
        """Return the name of the session that has all of them, once one does."""
        pause = 0.0
        missing = dict.fromkeys(names, expected)
        while True:
            for name, wanted in missing.items():
                session = await self._get("/Session", sessionName=name)
                if session is None:
                    continue
                ident = str(session["sessionId"])
                found = await asyncio.gather(*(self._has(ident, one) for one in wanted))
                left = [one for one, there in zip(wanted, found, strict=True) if not there]
                if not left:
                    return name
                missing[name] = left
            pause = min(max(2 * pause, _SHORTEST_PAUSE), _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _has(self, session: str, expected: _Expected) -> bool:
        async with self._at_once:
            found = await self._get(f"/Session/{session}/Decision/{expected.id}")
        if found is None:
            return False
        if expected.value is not None and found.get("decisionValue") != expected.value:
            raise NotAtAthena(
                f"Decision {expected.id} says {found.get('decisionValue')!r} at Athena, "
                f"and the instruction wants {expected.value!r}"
            )
        return True

    async def _get(self, path: str, **query: str) -> dict[str, Any] | None:
        """Return what is there; None for what is not, or while Athena is away."""
        try:
            answer = await self._client.get(
                f"{self._url}{path}", params=query, headers=self._headers
            )
        except (httpx.TransportError, httpx.InvalidURL):
            return None
        if answer.is_success:
            return answer.json()
        later = answer.is_server_error or answer.status_code in (404, 408, 429)
        if not later:
            raise NotAtAthena(f"{answer.request.url} answered {answer.status_code}")
        return None


def _rests_on(instruction: Instruction) -> tuple[list[str], list[_Expected]]:
    """Return what Athena's session may be called, and the decisions that it should have.

    Raises:
        InstructionDeclined: The instruction names none, such as one that a person made.
    """
    said: Any = (instruction.metadata or {}).get("athena")
    try:
        expected = [_Expected(UUID(one["id"]), one.get("value")) for one in said["decisions"]]
        names = [str(name) for name in said["session_names"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InstructionDeclined(_NOTHING_TO_ASK) from error
    if not expected or not names:
        raise InstructionDeclined(_NOTHING_TO_ASK)
    return names, expected
