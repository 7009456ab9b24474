"""The grids of the chaos run: squares, holes and micrographs, and how an agent speaks of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from domains.cryoem import ids
from domains.cryoem.manifests import (
    EpuSession,
    HoleTarget,
    ImageManifest,
    ImageName,
    Point,
    SquareManifest,
)
from models.cryoem.messages import EpuImageMessage, EpuSessionMessage, EpuSquareMessage, Message

_START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
#: Every so many holes of a square lie at a grid bar and are never to be selected.
_AT_BAR_EVERY = 9
#: Every so many holes of a square have been exposed.
_EXPOSED_EVERY = 3


@dataclass(frozen=True)
class Hole:
    """One foil hole, and its micrograph where it has one."""

    hole_id: int
    uuid: UUID
    at_bar: bool
    micrograph: UUID | None
    stem: str


@dataclass(frozen=True)
class Square:
    """One grid square."""

    square_id: int
    uuid: UUID
    holes: tuple[Hole, ...]


@dataclass(frozen=True)
class Grid:
    """One grid, and the session that images it."""

    uuid: UUID
    session: EpuSession
    squares: tuple[Square, ...]

    @property
    def holes(self) -> list[Hole]:
        """All holes of all squares."""
        return [hole for square in self.squares for hole in square.holes]

    @property
    def micrographs(self) -> list[UUID]:
        """All micrographs of all holes."""
        return [hole.micrograph for hole in self.holes if hole.micrograph is not None]

    def said_by_agent(self) -> Iterator[dict[str, Any]]:
        """Yield what an agent posts about the grid: session, squares, micrographs."""
        common: dict[str, Any] = {"grid_uuid": self.uuid, "observed_at": _START}
        yield _body(
            EpuSessionMessage(
                path="/chaos/EpuSession.dm",
                manifest=self.session,
                message_id=f"{self.uuid}/session",
                **common,
            )
        )
        for square in self.squares:
            yield _body(
                EpuSquareMessage(
                    path=f"/chaos/Metadata/GridSquare_{square.square_id}.dm",
                    manifest=_square_manifest(square),
                    message_id=f"{self.uuid}/{square.square_id}",
                    **common,
                )
            )
            for hole in square.holes:
                if hole.micrograph is not None:
                    yield _body(
                        EpuImageMessage(
                            path=f"/chaos/{hole.stem}.xml",
                            name=ImageName(
                                level="micrograph",
                                stem=hole.stem,
                                square_id=square.square_id,
                                hole_id=hole.hole_id,
                            ),
                            manifest=ImageManifest(
                                unique_id=hole.stem, acquired_at=_START, defocus=-1.5e-6
                            ),
                            message_id=f"{self.uuid}/{hole.stem}",
                            **common,
                        )
                    )


def make_grids(seed: int, *, grids: int, squares: int, holes: int) -> tuple[Grid, ...]:
    """Return so many grids with so many squares each, and so many holes a square."""
    return tuple(_grid(seed, number, squares, holes) for number in range(1, grids + 1))


def _grid(seed: int, number: int, squares: int, holes: int) -> Grid:
    session = EpuSession(
        epu_id=f"chaos-{seed}-{number}",
        name=f"chaos-{seed}-{number}",
        started_at=_START + timedelta(hours=number),
        grid_type="HoleyGold",
    )
    uuid = ids.grid_uuid(session)
    return Grid(uuid, session, tuple(_square(uuid, n, holes) for n in range(1, squares + 1)))


def _square(grid: UUID, square_id: int, holes: int) -> Square:
    made: list[Hole] = []
    for place in range(1, holes + 1):
        hole_id = 10_000 * square_id + place
        stem = f"FoilHole_{hole_id}_Data_1_2_20260301_101010"
        exposed = place % _EXPOSED_EVERY == 1
        made.append(
            Hole(
                hole_id=hole_id,
                uuid=ids.hole_uuid(grid, hole_id),
                at_bar=place % _AT_BAR_EVERY == 0,
                micrograph=ids.micrograph_uuid(grid, stem) if exposed else None,
                stem=stem,
            )
        )
    return Square(square_id, ids.square_uuid(grid, square_id), tuple(made))


def _square_manifest(square: Square) -> SquareManifest:
    return SquareManifest(
        square_id=square.square_id,
        selected=True,
        holes=tuple(
            HoleTarget(
                hole_id=hole.hole_id,
                pixel_center=Point(x=hole.hole_id, y=1),
                is_near_grid_bar=hole.at_bar,
                selected=True,
            )
            for hole in square.holes
        ),
    )


def _body(message: Message) -> dict[str, Any]:
    return message.model_dump(mode="json", exclude_none=True)
