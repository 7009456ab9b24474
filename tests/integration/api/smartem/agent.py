"""What SmartEM's agent sends of a session, and helpers to send it."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx

Body = dict[str, Any]


def new() -> str:
    return str(uuid4())


@dataclass
class AgentSession:
    """One acquisition of one grid: squares 1, 2, … with holes 101, 102, … and 201, 202, …"""

    squares: dict[int, str] = field(default_factory=lambda: {1: new(), 2: new()})
    holes: dict[int, str] = field(
        default_factory=lambda: {100 * s + n: new() for s in (1, 2) for n in (1, 2, 3)}
    )
    acquisition: str = field(default_factory=new)
    grid: str = field(default_factory=new)
    atlas: str = field(default_factory=new)
    tile: str = field(default_factory=new)
    micrograph: str = field(default_factory=new)

    @property
    def grid_uuid(self) -> UUID:
        return UUID(self.grid)

    def requests(self) -> list[tuple[str, str, Any]]:
        """Return method, path and body of all, in the order in which the agent sends them."""
        return [
            ("POST", "/acquisitions", self.acquisition_body()),
            ("POST", f"/acquisitions/{self.acquisition}/grids", self.grid_body()),
            ("POST", f"/grids/{self.grid}/atlas", self.atlas_body()),
            *self._low_magnification(),
            ("POST", f"/grids/{self.grid}/registered", None),
            *(request for square in self.squares for request in self._square(square)),
            ("POST", f"/foilholes/{self.holes[101]}/micrographs", self.micrograph_body()),
        ]

    def _low_magnification(self) -> list[tuple[str, str, Any]]:
        batch = {"gridsquares": [self.square_body(square, lowmag=True) for square in self.squares]}
        links = [{"gridsquare_uuid": uuid, **PLACE} for uuid in self.squares.values()]
        return [
            ("POST", f"/grids/{self.grid}/gridsquares/batch", batch),
            ("POST", f"/atlas-tiles/{self.tile}/gridsquares", links),
        ]

    def _square(self, square: int) -> list[tuple[str, str, Any]]:
        uuid = self.squares[square]
        holes = [hole for hole in self.holes if hole // 100 == square]
        return [
            ("PUT", f"/gridsquares/{uuid}", self.square_body(square, selected=True)),
            ("POST", f"/gridsquares/{uuid}/foilholes", [self.hole_body(hole) for hole in holes]),
            ("POST", f"/gridsquares/{uuid}/registered?count={len(holes)}", None),
        ]

    def acquisition_body(self, **more: Any) -> Body:
        started = "2026-03-01T09:00:00"
        return {"uuid": self.acquisition, "name": "trial", "start_time": started, **more}

    def grid_body(self, **more: Any) -> Body:
        return {"uuid": self.grid, "name": "trial", "acquisition_uuid": self.acquisition, **more}

    def atlas_body(self, **more: Any) -> Body:
        tile = {"uuid": self.tile, "atlas_uuid": self.atlas, "tile_id": "1", "position_x": 5}
        return {
            "uuid": self.atlas,
            "grid_uuid": self.grid,
            "atlas_id": "a1",
            "name": "Atlas",
            "tiles": [tile],
            **more,
        }

    def square_body(self, square: int, **more: Any) -> Body:
        uuid = self.squares[square]
        return {"uuid": uuid, "gridsquare_id": str(square), "grid_uuid": self.grid, **more}

    def hole_body(self, hole: int, **more: Any) -> Body:
        square = hole // 100
        return {
            "uuid": self.holes[hole],
            "foilhole_id": str(hole),
            "gridsquare_id": str(square),
            "gridsquare_uuid": self.squares[square],
            "center_x": float(hole),
            "center_y": 1.0,
            **more,
        }

    def micrograph_body(self, **more: Any) -> Body:
        said = {"foilhole_id": "101", "defocus": -1.5e-6, "image_size_x": 4096}
        return {"uuid": self.micrograph, **said, **more}


#: Where a square lies on a tile.
PLACE = {"center_x": 1, "center_y": 2, "size_width": 3, "size_height": 4}


async def send(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    """Send one request; return the JSON of its answer, which is to be 200, 201 or 204."""
    answer = await client.request(method, path, json=body)
    assert answer.is_success, f"{method} {path}: {answer.text}"
    return answer.json() if answer.content else None


async def send_all(client: httpx.AsyncClient, session: AgentSession) -> None:
    for method, path, body in session.requests():
        await send(client, method, path, body)


async def status(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> int:
    return (await client.request(method, path, json=body)).status_code
