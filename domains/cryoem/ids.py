"""Deterministic uuids of cryo-EM entities.

EPU's natural ids are unique within one session only, so each is scoped by the grid, and
the grid by what makes an EPU session unique: its id, name and start.
"""

from uuid import UUID

from core.clock import as_utc
from core.ids import ATHANOR, derived
from domains.cryoem.manifests import EpuSession


def acquisition_uuid(session: EpuSession) -> UUID:
    """Return the acquisition's uuid.

    Raises:
        ValueError: The manifest has neither id nor name, so nothing tells it from others.
    """
    if session.epu_id is None and session.name is None:
        raise ValueError("the session manifest has neither an Id nor a Name")
    started = as_utc(session.started_at).isoformat() if session.started_at else ""
    return derived(ATHANOR, "cryoem", "acquisition", session.epu_id, session.name, started)


def grid_uuid(session: EpuSession) -> UUID:
    """Return the uuid of the grid that the session images (one per EPU session)."""
    return grid_of(acquisition_uuid(session))


def grid_of(acquisition: UUID) -> UUID:
    """Return the uuid of the one grid of an acquisition."""
    return derived(acquisition, "grid")


def atlas_uuid(grid: UUID) -> UUID:
    """Return the uuid of the grid's atlas."""
    return derived(grid, "atlas")


def tile_uuid(grid: UUID, tile_id: str) -> UUID:
    """Return the uuid of an atlas tile."""
    return derived(grid, "tile", tile_id)


def square_uuid(grid: UUID, square_id: int) -> UUID:
    """Return the uuid of a grid square, from EPU's id of it."""
    return derived(grid, "gridsquare", square_id)


def hole_uuid(grid: UUID, hole_id: int) -> UUID:
    """Return the uuid of a foil hole, from EPU's id of it."""
    return derived(grid, "foilhole", hole_id)


def micrograph_uuid(grid: UUID, stem: str) -> UUID:
    """Return the uuid of a micrograph, from its file's stem."""
    return derived(grid, "micrograph", stem)


def decision_uuid(grid: UUID, area: UUID, decision_type: str, basis: str) -> UUID:
    """Return a decision's uuid: the same session, area, type and basis is the same decision."""
    return derived(grid, "decision", area, decision_type, basis)
