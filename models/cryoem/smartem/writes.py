"""What clients ask to be made, changed, linked, registered or deleted; and what came of it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from core.errors import AthanorError, Conflict
from models.cryoem.messages import Entity
from models.cryoem.smartem.requests import GridSquarePositionRequest, Request
from models.inbox import Received
from models.json_text import JsonText


class Overtaken(Conflict):
    """Somebody else made the same at the same moment."""


@dataclass(frozen=True)
class Create:
    """Make entities of one kind, all of them or none."""

    entity: Entity
    #: What they belong to, as the path says; None for acquisitions.
    parent: UUID | None
    requests: tuple[Request, ...]

    @cached_property
    def asked(self) -> tuple[JsonText, ...]:
        """Return the fields that each request gives."""
        return tuple(JsonText(one.model_dump_json(exclude_unset=True)) for one in self.requests)


@dataclass(frozen=True)
class Update:
    """Change what is given of one entity."""

    entity: Entity
    uuid: UUID
    request: Request


@dataclass(frozen=True)
class Delete:
    """Let an entity, and all that belongs to it, exist no longer."""

    entity: Entity
    uuid: UUID


@dataclass(frozen=True)
class Link:
    """Say where squares lie on a tile, all of them or none."""

    tile: UUID
    squares: tuple[tuple[UUID, GridSquarePositionRequest], ...]


@dataclass(frozen=True)
class Register:
    """Say that all squares of a grid, or all holes of a square, are known."""

    entity: Entity
    uuid: UUID
    count: int | None = None


Write = Create | Update | Delete | Link | Register


@dataclass(frozen=True)
class Result:
    """What a write did."""

    #: What clients are shown of each entity or link, as it is stored now.
    shown: tuple[dict[str, Any], ...] = ()


@dataclass
class Step:
    """A write on its way."""

    write: Write
    #: Who asks.
    source: str
    #: The grid that it concerns; None for acquisitions.
    grid: UUID | None = None
    #: Why it is refused.
    error: AthanorError | None = None
    #: A row that it changes, as it was and as it is.
    changed: tuple[dict[str, Any], dict[str, Any]] = field(default_factory=lambda: ({}, {}))
    #: Uuids that were asked for → those that these entities have.
    names: dict[UUID, UUID] = field(default_factory=dict)
    #: Its row in the inbox.
    message: Received | None = None
    result: Result = field(default_factory=Result)

    @property
    def seq(self) -> int:
        """Place of its message in the inbox."""
        assert self.message is not None  # noqa: S101 (recorded before anything is changed)
        return self.message.seq


@dataclass
class After:
    """What is to follow the commit of a group of writes."""

    #: Runs to ask for: deployment and grid.
    bells: list[tuple[str, str]] = field(default_factory=list)
    #: Grids that are new, whose squares are all known now, and whose session is over now.
    discovered: list[UUID] = field(default_factory=list)
    registered: list[UUID] = field(default_factory=list)
    ended: list[UUID] = field(default_factory=list)
