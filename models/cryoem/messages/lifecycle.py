"""That an acquisition, grid, atlas, tile, square, hole or micrograph exists, or no longer does.

One class for each kind of entity; `event_type` says whether it was created, updated or
deleted. Uuids are Athanor's, which follow from the grid and EPU's own ids unless a client was
the first to tell of the entity.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from pydantic import Field, model_validator

from domains.cryoem import ids
from domains.cryoem.manifests import Id, Text
from models.cryoem.messages.base import Count, Entity, Message, Name, Reference, either

#: Who published a message that Athanor did.
OURS: Final = "athanor"


class _Event(Message, ABC):
    """What the events of all kinds of entities can be asked."""

    entity: ClassVar[Entity]

    uuid: UUID | None = Field(None, description="The entity, by Athanor's uuid.")
    publisher: Any = Field(
        None,
        description="`athanor` in Athanor's own messages: should one come back, it is no news.",
    )

    @property
    def is_ours(self) -> bool:
        """Whether Athanor published it."""
        return self.publisher == OURS

    def grid(self) -> UUID | None:
        """Return the grid, where the message itself tells it."""
        return getattr(self, "grid_uuid", None)

    @abstractmethod
    def follows(self, grid: UUID) -> UUID | None:
        """Return the uuid that follows from grid and natural id; None without a natural id."""

    def parent(self, grid: UUID) -> Reference | None:
        """Return what the entity belongs to; None where the message does not tell."""
        return Reference(Entity.GRID, grid)

    def references(self) -> tuple[Reference, ...]:
        """Return what may tell the grid: the parent, where it is named by uuid, and the entity."""
        return () if self.uuid is None else (Reference(self.entity, self.uuid),)

    def target(self, grid: UUID) -> UUID:
        """Return the entity's uuid."""
        found = self.uuid or self.follows(grid)
        assert found is not None  # noqa: S101 (validated)
        return found

    @model_validator(mode="after")
    def _named(self) -> "_Event":
        grid = self.grid()
        if self.uuid is None and (grid is None or self.follows(grid) is None):
            raise ValueError("give uuid, or grid_uuid and the natural id")
        return self


class _OfGrid(_Event, ABC):
    grid_uuid: UUID | None = Field(None, description="The grid that it belongs to.")


class AcquisitionEvent(_Event):
    """Something happened to an acquisition."""

    entity = Entity.ACQUISITION
    model_config = either({"uuid": "string"})

    event_type: Literal["acquisition.created", "acquisition.updated", "acquisition.deleted"]
    id: Text | None = Field(None, description="EPU's id of the session.")

    def grid(self) -> UUID | None:
        """Return the one grid of the acquisition."""
        return None if self.uuid is None else ids.grid_of(self.uuid)

    def follows(self, grid: UUID) -> UUID | None:  # noqa: ARG002 (as the others)
        """Return None: an acquisition's uuid takes its name and start, too."""
        return None

    def parent(self, grid: UUID) -> Reference | None:  # noqa: ARG002 (as the others)
        """Return None: nothing is above it."""
        return None


class GridEvent(_Event):
    """Something happened to a grid."""

    entity = Entity.GRID
    model_config = either({"uuid": "string"}, {"acquisition_uuid": "string"})

    event_type: Literal["grid.created", "grid.updated", "grid.deleted"]
    id: Text | None = Field(None, description="Accepted and stored.")
    acquisition_uuid: UUID | None = Field(None, description="The acquisition that images it.")

    def grid(self) -> UUID | None:
        """Return the grid itself."""
        if self.uuid is None and self.acquisition_uuid is not None:
            return ids.grid_of(self.acquisition_uuid)
        return self.uuid

    def follows(self, grid: UUID) -> UUID | None:  # noqa: ARG002 (as the others)
        """Return the uuid of the acquisition's one grid."""
        return None if self.acquisition_uuid is None else ids.grid_of(self.acquisition_uuid)

    def parent(self, grid: UUID) -> Reference | None:  # noqa: ARG002 (as the others)
        """Return the acquisition."""
        if self.acquisition_uuid is None:
            return None
        return Reference(Entity.ACQUISITION, self.acquisition_uuid)


class AtlasEvent(_OfGrid):
    """Something happened to an atlas."""

    entity = Entity.ATLAS
    model_config = either({"uuid": "string"}, {"grid_uuid": "string"})

    event_type: Literal["atlas.created", "atlas.updated", "atlas.deleted"]
    id: Text | None = Field(None, description="EPU's id of the atlas.")

    def follows(self, grid: UUID) -> UUID | None:
        """Return the uuid of the grid's one atlas."""
        return ids.atlas_uuid(grid)


class TileEvent(_OfGrid):
    """Something happened to a tile of an atlas."""

    entity = Entity.TILE
    model_config = either({"uuid": "string"}, {"grid_uuid": "string", "id": "string"})

    event_type: Literal["atlas_tile.created", "atlas_tile.updated", "atlas_tile.deleted"]
    id: Name | None = Field(None, description="EPU's id of the tile.")
    atlas_uuid: UUID | None = Field(None, description="The atlas that it is part of.")

    def follows(self, grid: UUID) -> UUID | None:
        """Return the uuid that EPU's id gives."""
        return None if self.id is None else ids.tile_uuid(grid, self.id)

    def parent(self, grid: UUID) -> Reference | None:
        """Return the atlas."""
        return Reference(Entity.ATLAS, self.atlas_uuid or ids.atlas_uuid(grid))

    def references(self) -> tuple[Reference, ...]:
        """Return what may tell the grid."""
        if self.atlas_uuid is None:
            return super().references()
        return (Reference(Entity.ATLAS, self.atlas_uuid), *super().references())


class _OfSquare(_OfGrid):
    entity = Entity.SQUARE
    model_config = either({"uuid": "string"}, {"grid_uuid": "string", "gridsquare_id": "integer"})

    gridsquare_id: Id | None = Field(None, description="EPU's id of the square.")

    def follows(self, grid: UUID) -> UUID | None:
        """Return the uuid that EPU's id gives."""
        return None if self.gridsquare_id is None else ids.square_uuid(grid, self.gridsquare_id)


class SquareEvent(_OfSquare):
    """Something happened to a grid square."""

    event_type: Literal["gridsquare.created", "gridsquare.updated", "gridsquare.deleted"]


class SquareLowmagEvent(_OfSquare):
    """Something happened to the low-magnification view of a grid square."""

    event_type: Literal[
        "gridsquare_lowmag.created", "gridsquare_lowmag.updated", "gridsquare_lowmag.deleted"
    ]


class HoleEvent(_OfGrid):
    """Something happened to a foil hole."""

    entity = Entity.HOLE
    model_config = either({"uuid": "string"}, {"grid_uuid": "string", "foilhole_id": "integer"})

    event_type: Literal["foilhole.created", "foilhole.updated", "foilhole.deleted"]
    foilhole_id: Id | None = Field(None, description="EPU's id of the hole.")
    gridsquare_uuid: UUID | None = Field(None, description="The square that it is on.")
    gridsquare_id: Id | None = Field(None, description="The square that it is on, by EPU's id.")

    def follows(self, grid: UUID) -> UUID | None:
        """Return the uuid that EPU's id gives."""
        return None if self.foilhole_id is None else ids.hole_uuid(grid, self.foilhole_id)

    def parent(self, grid: UUID) -> Reference | None:
        """Return the square."""
        if self.gridsquare_uuid is not None:
            return Reference(Entity.SQUARE, self.gridsquare_uuid)
        if self.gridsquare_id is not None:
            return Reference(Entity.SQUARE, ids.square_uuid(grid, self.gridsquare_id))
        return None

    def references(self) -> tuple[Reference, ...]:
        """Return what may tell the grid."""
        if self.gridsquare_uuid is None:
            return super().references()
        return (Reference(Entity.SQUARE, self.gridsquare_uuid), *super().references())


class MicrographEvent(_OfGrid):
    """Something happened to a micrograph."""

    entity = Entity.MICROGRAPH
    model_config = either({"uuid": "string"}, {"grid_uuid": "string", "micrograph_id": "string"})

    event_type: Literal["micrograph.created", "micrograph.updated", "micrograph.deleted"]
    micrograph_id: Name | None = Field(
        None, description="The name of its file without ending, which names it within the grid."
    )
    foilhole_uuid: UUID | None = Field(None, description="The hole that it shows.")
    foilhole_id: Id | None = Field(None, description="The hole that it shows, by EPU's id.")

    def follows(self, grid: UUID) -> UUID | None:
        """Return the uuid that its file's name gives."""
        return None if self.micrograph_id is None else ids.micrograph_uuid(grid, self.micrograph_id)

    def parent(self, grid: UUID) -> Reference | None:
        """Return the hole."""
        if self.foilhole_uuid is not None:
            return Reference(Entity.HOLE, self.foilhole_uuid)
        if self.foilhole_id is not None:
            return Reference(Entity.HOLE, ids.hole_uuid(grid, self.foilhole_id))
        return None

    def references(self) -> tuple[Reference, ...]:
        """Return what may tell the grid."""
        if self.foilhole_uuid is None:
            return super().references()
        return (Reference(Entity.HOLE, self.foilhole_uuid), *super().references())


class GridRegistered(Message):
    """All squares of a grid are known."""

    event_type: Literal["grid.registered"] = "grid.registered"
    grid_uuid: UUID = Field(description="The grid.")


class SquareRegistered(Message):
    """All holes of a square are known."""

    event_type: Literal["gridsquare.registered"] = "gridsquare.registered"
    model_config = either({"uuid": "string"}, {"grid_uuid": "string", "gridsquare_id": "integer"})

    uuid: UUID | None = Field(None, description="The square, by Athanor's uuid.")
    grid_uuid: UUID | None = Field(None, description="The grid, where EPU's id names the square.")
    gridsquare_id: Id | None = Field(None, description="The square, by EPU's id.")
    count: Count | None = Field(None, description="How many holes; accepted and stored.")

    @model_validator(mode="after")
    def _named(self) -> "SquareRegistered":
        if self.uuid is None and (self.grid_uuid is None or self.gridsquare_id is None):
            raise ValueError("give uuid, or grid_uuid and gridsquare_id")
        return self

    def target(self) -> UUID:
        """Return the square's uuid."""
        if self.uuid is not None:
            return self.uuid
        assert self.grid_uuid is not None and self.gridsquare_id is not None  # noqa: S101, PT018 (validated)
        return ids.square_uuid(self.grid_uuid, self.gridsquare_id)

    def references(self) -> tuple[Reference, ...]:
        """Return what tells the grid."""
        return (Reference(Entity.SQUARE, self.target()),)


LifeCycle = (
    AcquisitionEvent
    | GridEvent
    | AtlasEvent
    | TileEvent
    | SquareEvent
    | SquareLowmagEvent
    | HoleEvent
    | MicrographEvent
)


def deletes(event: LifeCycle) -> bool:
    """Tell whether the entity is said to exist no longer."""
    return event.event_type.endswith(".deleted")
