"""Who tells the microscope what to collect: Athena, or nobody but EPU itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from blocks.athena import AthenaClient
from core.errors import AthenaError, AthenaNotFound, AthenaUnavailable, NotFound
from models.athena import (
    AcquisitionState,
    ApplicationStateChange,
    AreaStateChange,
    DecisionRecord,
    DecisionType,
    EngineState,
)

T = TypeVar("T")

#: How often Athena is asked again about what it does not know yet, seconds.
_ASK_AGAIN = 0.1


class Guide(Protocol):
    """What the microscope asks, and whom it tells how far it is."""

    async def connect(self) -> UUID | None:
        """Return the session's id once it can be asked about; None when there is none."""
        ...

    async def square_selected(self, square_id: int) -> bool | None:
        """Return whether to collect a square; None when nobody says so in time."""
        ...

    async def holes_selected(self, square_id: int) -> frozenset[int] | None:
        """Return which holes of a square to collect; None when nobody says so in time."""
        ...

    async def report(self, area_id: int, state: AcquisitionState) -> None:
        """Say how far the acquisition of a square or hole is."""
        ...

    async def report_engine(self, state: EngineState) -> None:
        """Say whether the microscope runs."""
        ...


class OwnOrder:
    """EPU without Athena: nobody is asked and nobody told."""

    async def connect(self) -> UUID | None:
        """Return None: there is no session."""
        return None

    async def square_selected(self, square_id: int) -> bool | None:  # noqa: ARG002 (the port)
        """Return None: EPU decides."""
        return None

    async def holes_selected(self, square_id: int) -> frozenset[int] | None:  # noqa: ARG002 (the port)
        """Return None: EPU decides."""
        return None

    async def report(self, area_id: int, state: AcquisitionState) -> None:
        """Tell nobody."""

    async def report_engine(self, state: EngineState) -> None:
        """Tell nobody."""


class HoleAnswer(BaseModel):
    """One hole in the value of a foilHoleSelection."""

    area_id: int = Field(alias="areaId")
    result: Literal["true", "false"]


_HOLES = TypeAdapter(tuple[HoleAnswer, ...])


class AthenaGuide:
    """EPU with Athena: asks by TimedDecision, tells by AreaState and ApplicationState."""

    def __init__(
        self,
        athena: AthenaClient,
        session_name: str,
        *,
        decision_timeout: float,
        session_timeout: float,
    ) -> None:
        """Prepare, and ask nothing yet.

        Args:
            athena: The service.
            session_name: Name of the session that somebody else registers.
            decision_timeout: Seconds to wait for one decision, its area's registration included.
            session_timeout: Seconds to wait for the session.
        """
        self._athena = athena
        self._session_name = session_name
        self._decision_timeout = decision_timeout
        self._session_timeout = session_timeout
        self._session: UUID | None = None
        #: How many states Athena did not want, for lack of the area.
        self.unreported = 0

    async def connect(self) -> UUID:
        """Wait for the session.

        Raises:
            NotFound: It did not come in time.
        """
        deadline = time.monotonic() + self._session_timeout
        found = await _until(deadline, lambda _: self._athena.find_session(self._session_name))
        if found is None or found.session_id is None:
            raise NotFound(
                f"Athena had no session {self._session_name!r} within {self._session_timeout:g} s"
            )
        self._session = found.session_id
        return found.session_id

    async def square_selected(self, square_id: int) -> bool | None:
        """Return Athena's gridSquareSelection."""
        answer = await self._ask(square_id, DecisionType.GRID_SQUARE_SELECTION)
        return None if answer is None else answer.decision_value == "true"

    async def holes_selected(self, square_id: int) -> frozenset[int] | None:
        """Return the holes of Athena's foilHoleSelection for the square.

        Raises:
            AthenaError: Its value is not a list of holes.
        """
        answer = await self._ask(square_id, DecisionType.FOIL_HOLE_SELECTION)
        if answer is None:
            return None
        try:
            holes = _HOLES.validate_json(answer.decision_value or "")
        except ValidationError as exc:
            raise AthenaError(
                f"the foilHoleSelection of square {square_id} is no list of holes: "
                f"{answer.decision_value!r}"
            ) from exc
        return frozenset(hole.area_id for hole in holes if hole.result == "true")

    async def report(self, area_id: int, state: AcquisitionState) -> None:
        """Tell Athena; an area that it does not know, as after a fallback, is counted."""
        change = AreaStateChange(session_id=self._known, area_id=area_id, state=state)
        try:
            await self._athena.post_area_state(change)
        except AthenaNotFound:
            self.unreported += 1

    async def report_engine(self, state: EngineState) -> None:
        """Tell Athena."""
        change = ApplicationStateChange(state=state, session_id=self._known)
        await self._athena.post_application_state(change)

    @property
    def _known(self) -> UUID:
        if self._session is None:
            raise NotFound(f"the session {self._session_name!r} was not waited for")
        return self._session

    async def _ask(self, area_id: int, decision_type: DecisionType) -> DecisionRecord | None:
        session = self._known

        async def ask(remaining: float) -> DecisionRecord | None:
            return await self._athena.timed_decision(
                session, area_id, decision_type, timeout=max(1, round(remaining))
            )

        return await _until(time.monotonic() + self._decision_timeout, ask)


async def _until(deadline: float, ask: Callable[[float], Awaitable[T | None]]) -> T | None:
    """Return the first answer, None at the deadline; what is not known yet is asked again."""
    while (remaining := deadline - time.monotonic()) > 0:
        try:
            return await ask(remaining)
        except (AthenaNotFound, AthenaUnavailable):
            await asyncio.sleep(min(_ASK_AGAIN, remaining))
    return None
