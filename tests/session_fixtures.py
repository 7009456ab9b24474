"""A session without Prefect: resources of a run on a test's database, and a simulated Athena."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from blocks.athena.block import AthenaDecisionService
from blocks.athena.client import AthenaClient
from blocks.resources import Resources, opened_doorbell, provide
from core.settings import Settings
from domains.cryoem import ids
from domains.cryoem.manifests import (
    EpuSession,
    HoleTarget,
    ImageManifest,
    ImageName,
    Point,
    SquareManifest,
)
from messaging.launcher import Launcher
from models.cryoem.messages import (
    EpuImageMessage,
    EpuSessionMessage,
    EpuSquareMessage,
    Message,
    SquarePrediction,
)
from models.database import Database
from simulators.athena.faults import Faults
from simulators.athena.server import RunningSimulator, running
from simulators.athena.state import Simulator
from tasks.intake import Accepted, accept

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


class RecordingLauncher(Launcher):
    """Takes note of what is to be launched; the tests run it themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.launched: list[tuple[str, str]] = []
        self.emitted: list[tuple[str, str, Mapping[str, Any]]] = []

    async def launch(
        self,
        deployment: str,
        parameters: Mapping[str, Any],
        *,
        tags: Sequence[str] = (),
        idempotency_key: str | None = None,
        run_name: str | None = None,
    ) -> UUID:
        about = parameters["grid_uuid" if "grid_uuid" in parameters else "session_id"]
        self.launched.append((deployment.split("/", maxsplit=1)[0], about))
        return uuid4()

    def emit(self, event: str, resource_id: str, payload: Mapping[str, Any]) -> None:
        self.emitted.append((event, resource_id, payload))


@dataclass(frozen=True)
class QuietResources(Resources):
    """Resources that keep events to themselves: there is no Prefect server."""

    events: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def emit(self, event: str, resource_id: str, payload: dict[str, str]) -> None:
        self.events.append((event, payload))


@dataclass(frozen=True)
class Here:
    """A test's surroundings."""

    resources: QuietResources
    athena: RunningSimulator

    @property
    def client(self) -> AthenaClient:
        return self.resources.athena

    @property
    def simulator(self) -> Simulator:
        return self.athena.app.state.simulator

    @property
    def launched(self) -> list[tuple[str, str]]:
        launcher = self.resources.launcher
        assert isinstance(launcher, RecordingLauncher)
        return launcher.launched

    def set_faults(self, **faults: float) -> None:
        self.simulator.injector.set(Faults(**faults))

    async def send(self, *messages: Message, source: str = "test") -> Accepted:
        return await accept(self.resources, bodies(messages), source=source)


def bodies(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages as a sender writes them."""
    return [message.model_dump(mode="json", exclude_none=True) for message in messages]


def test_settings(**changes: Any) -> Settings:
    """Settings with short patience."""
    base = Settings(
        worker={"linger_seconds": 0, "lease_seconds": 5},
        decisions={"settle_seconds": 0.05, "refresh_seconds": 0},
        athena={"read_timeout": 5},
    )
    return base.model_copy(update=changes)


@asynccontextmanager
async def surroundings(database: Database, settings: Settings) -> AsyncIterator[Here]:
    """Run a simulated Athena and make a run's resources the current ones."""
    async with running() as simulator, opened_doorbell(database) as doorbell:
        block = AthenaDecisionService(base_url=simulator.url, token=SecretStr("secret"))
        async with block.get_client() as client:
            resources = QuietResources(settings, database, doorbell, RecordingLauncher(), client)
            with provide(resources):
                yield Here(resources, simulator)


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Here]:
    """Resources of a run on both databases, and a simulated Athena."""
    async with surroundings(database, test_settings()) as made:
        yield made


class SmallSession:
    """One grid with squares 1, 2, … and holes 101, 102, … on the first, 201, … on the second."""

    def __init__(self, squares: int = 2, holes: int = 3, name: str = "trial") -> None:
        self.manifest = EpuSession(epu_id="77", name=name, started_at=START, grid_type="HoleyGold")
        self.grid = ids.grid_uuid(self.manifest)
        self.squares = list(range(1, squares + 1))
        self.holes = {s: [100 * s + n for n in range(1, holes + 1)] for s in self.squares}

    def session(self) -> EpuSessionMessage:
        return EpuSessionMessage(
            grid_uuid=self.grid,
            path="/x/EpuSession.dm",
            observed_at=START,
            manifest=self.manifest,
            message_id=f"{self.grid}/session",
        )

    def square(self, square: int) -> EpuSquareMessage:
        return EpuSquareMessage(
            grid_uuid=self.grid,
            path=f"/x/Metadata/GridSquare_{square}.dm",
            observed_at=START + timedelta(minutes=square),
            message_id=f"{self.grid}/{square}",
            manifest=SquareManifest(
                square_id=square,
                selected=True,
                holes=tuple(
                    HoleTarget(
                        hole_id=hole,
                        pixel_center=Point(x=hole, y=1),
                        is_near_grid_bar=False,
                        selected=True,
                    )
                    for hole in self.holes[square]
                ),
            ),
        )

    def all(self) -> list[Message]:
        return [self.session(), *(self.square(square) for square in self.squares)]

    def predictions(self) -> list[Message]:
        """Return a prediction for each square, with values from 0.0 to 0.9."""
        return [
            SquarePrediction(
                grid_uuid=self.grid,
                gridsquare_id=square,
                prediction_model_name="squares-net",
                prediction_value=(square % 10) / 10,
                message_id=f"{self.grid}/prediction/{square}",
            )
            for square in self.squares
        ]

    def micrograph(self, square: int, hole: int) -> EpuImageMessage:
        stem = f"FoilHole_{hole}_Data_1_2_20260301_101010"
        return EpuImageMessage(
            grid_uuid=self.grid,
            path=f"/x/Images-Disc1/GridSquare_{square}/Data/{stem}.xml",
            observed_at=START + timedelta(hours=1),
            message_id=f"{self.grid}/{stem}",
            name=ImageName(level="micrograph", stem=stem, square_id=square, hole_id=hole),
            manifest=ImageManifest(
                unique_id="u", acquired_at=START + timedelta(hours=1), defocus=-1.5e-6
            ),
        )
