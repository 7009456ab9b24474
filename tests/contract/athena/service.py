"""A service with a client, and the few records that the tests speak of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from blocks.athena import AthenaClient
from models.athena import Area, AreaType, DecisionRecord, DecisionType, PluginType, Session
from simulators.athena import Faults, running

SESSION = UUID("3fa85f64-5717-4562-b3fc-2c963f66afa6")
SELECTION = DecisionType.FOIL_HOLE_SELECTION


@asynccontextmanager
async def service(
    faults: Faults | None = None, state_path: Path | None = None
) -> AsyncIterator[tuple[AthenaClient, str]]:
    """Run a service; give a client and the address."""
    async with (
        running(faults=faults, state_path=state_path) as simulator,
        AthenaClient(simulator.url) as client,
    ):
        yield client, simulator.url


def hole(ident: int, parent: int = 1) -> Area:
    """Return a hole of the session."""
    return Area(session_id=SESSION, id=ident, area_type=AreaType.FOIL_HOLE, parent_id=parent)


def decision(area: int, value: str = "true") -> DecisionRecord:
    """Return a new selection of an area."""
    return DecisionRecord(
        id=uuid4(),
        session_id=SESSION,
        area_id=area,
        decision_type=SELECTION,
        plugin_type=PluginType.CUSTOM,
        decision_value=value,
    )


async def populate(client: AthenaClient) -> None:
    """Register the session Grid_7 with a square 1 and its holes 2 and 3."""
    square = Area(session_id=SESSION, id=1, area_type=AreaType.GRID_SQUARE)
    await client.create_session(Session(session_id=SESSION, session_name="Grid_7"))
    await client.register_areas([square, hole(2), hole(3)])


async def stats(url: str) -> dict[str, Any]:
    """Return the simulator's counts."""
    async with httpx.AsyncClient(base_url=url) as http:
        return (await http.get("/simulator/stats")).json()


async def set_faults(url: str, **faults: float) -> None:
    """Put faults into force."""
    async with httpx.AsyncClient(base_url=url) as http:
        (await http.put("/simulator/faults", json=faults)).raise_for_status()
