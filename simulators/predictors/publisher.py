"""Predictions on their way to Athanor's API, as a model service would send them."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

import httpx

from agent.epu.read import read_manifest
from core.clock import utcnow
from core.errors import AthanorError, BadInput, ManifestUnreadable
from core.ids import derived
from domains.cryoem.ids import grid_uuid
from domains.cryoem.manifests import EpuSession
from models.cryoem.messages import HolePrediction, SquarePrediction
from simulators.epu.truth import GridTruth, SquareTruth
from simulators.predictors.model import SimulatedModel

_TIMEOUT_S = 30.0
_ASK_AGAIN_S = 0.2
#: Most squares asked for at once.
_PAGE = "500"


class PublishFailed(AthanorError):
    """Athanor's API did not take the predictions."""


@dataclass(frozen=True, slots=True)
class Published:
    """One POST that Athanor took: so many predictions about a square, and when they were sent."""

    square_id: int
    predictions: int
    sent_at: datetime


def grid_of(session_path: Path) -> UUID:
    """Return the uuid of the grid that an EpuSession.dm is about.

    Raises:
        ManifestUnreadable: It is not one.
    """
    manifest = read_manifest(session_path)
    if not isinstance(manifest, EpuSession):
        raise ManifestUnreadable(str(session_path), "is not an EpuSession.dm")
    return grid_uuid(manifest)


class PredictionPublisher:
    """Sends a model's predictions about one grid; usable in `async with`."""

    def __init__(
        self,
        api_url: str,
        grid: UUID,
        truth: GridTruth,
        model: SimulatedModel,
        *,
        key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare, and send nothing.

        Args:
            api_url: Athanor's API.
            grid: Which grid the predictions are about.
            truth: What the model looks at.
            model: What predicts.
            key: What the API asks for, where it does.
            transport: What carries the requests instead of the network.
        """
        self._http = httpx.AsyncClient(
            base_url=api_url,
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=_TIMEOUT_S,
            transport=transport,
        )
        self._grid = grid
        self._model = model
        self._squares = {square.square_id: square for square in truth.squares}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def predict_squares(self, squares: Sequence[int]) -> Published:
        """Publish a prediction for each square, in one POST.

        Raises:
            PublishFailed: Athanor did not take them.
        """
        messages = [
            SquarePrediction(
                message_id=self._message_id("square", square),
                gridsquare_uuid=None,
                grid_uuid=self._grid,
                gridsquare_id=square,
                metric=None,
                prediction_model_name=self._model.name,
                prediction_value=self._model.predict_square(self._square(square)),
            )
            for square in squares
        ]
        return await self._publish(squares[0], messages)

    async def predict_holes(self, square: int) -> Published:
        """Publish a prediction for each hole of a square, in one POST.

        Raises:
            PublishFailed: Athanor did not take them.
        """
        predicted = self._model.predict_holes(self._square(square).holes)
        messages = [
            HolePrediction(
                message_id=self._message_id("hole", hole),
                foilhole_uuid=None,
                grid_uuid=self._grid,
                foilhole_id=hole,
                metric=None,
                prediction_model_name=self._model.name,
                prediction_value=value,
            )
            for hole, value in predicted.items()
        ]
        return await self._publish(square, messages)

    async def follow(self, *, until_seconds: float) -> tuple[Published, ...]:
        """Predict what Athanor comes to know of, by asking it, until every square is done.

        Stops after `until_seconds` with what was published by then.
        """
        published: list[Published] = []
        waiting = set(self._squares)
        asked: set[int] = set()
        deadline = time.monotonic() + until_seconds
        while waiting and time.monotonic() < deadline:
            known = await self._known_squares()
            new = [square for square in known if square in self._squares and square not in asked]
            if new:
                published.append(await self.predict_squares(new))
                asked.update(new)
            for square in sorted(waiting & {square for square, holes in known.items() if holes}):
                published.append(await self.predict_holes(square))
                waiting.discard(square)
            if waiting:
                await asyncio.sleep(_ASK_AGAIN_S)
        return tuple(published)

    def _square(self, square_id: int) -> SquareTruth:
        if square_id not in self._squares:
            raise BadInput(f"square {square_id} is not one of the simulated grid")
        return self._squares[square_id]

    def _message_id(self, level: str, ident: int) -> str:
        # The same prediction has the same id, so that a repeat is recognised.
        return str(derived(self._grid, "simulated", self._model.name, level, ident))

    async def _publish(
        self, square_id: int, messages: Sequence[SquarePrediction | HolePrediction]
    ) -> Published:
        sent_at = utcnow()
        body = [message.model_dump(mode="json", exclude_none=True) for message in messages]
        source = f"simulated-model:{self._model.name}"
        await self._request("POST", "/messages", params={"source": source}, body=body)
        return Published(square_id, len(messages), sent_at)

    async def _known_squares(self) -> dict[int, int]:
        """Return how many holes Athanor knows of each square that it knows."""
        known: dict[int, int] = {}
        page: dict[str, str] = {"limit": _PAGE}
        while True:
            answer = await self._request("GET", f"/sessions/{self._grid}/squares", params=page)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return {}
            squares = answer.json()
            known.update((square["square_id"], square["holes"]) for square in squares["items"])
            if squares["next_cursor"] is None:
                return known
            page = {"limit": _PAGE, "cursor": squares["next_cursor"]}

    async def _request(
        self, method: str, path: str, *, params: dict[str, str] | None = None, body: object = None
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, params=params, json=body)
        except httpx.TransportError as exc:
            raise PublishFailed(f"Athanor's API cannot be reached: {exc}") from exc
        if answer.is_success or (method == "GET" and answer.status_code == httpx.codes.NOT_FOUND):
            return answer
        raise PublishFailed(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
