"""All that belongs to one session, table by table, leaves first.

The same list says what is exported (the other way round), counted and deleted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, or_, select, union_all
from sqlalchemy.orm import aliased
from sqlmodel import SQLModel, col

from models.cryoem.decision_tables import (
    AthenaArea,
    AthenaSession,
    CurrentPrediction,
    Decision,
    Prediction,
)
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentLog,
    AgentSession,
    Instruction,
    InstructionAck,
)
from models.cryoem.processing_tables import (
    CurrentMeasurement,
    HoleGroup,
    HoleGroupMember,
    Measurement,
    ModelParameter,
)
from models.cryoem.tables import (
    Acquisition,
    Alias,
    Atlas,
    AtlasTile,
    Grid,
    Hole,
    Micrograph,
    Square,
    TileSquare,
)
from models.cryoem.weight_tables import (
    GridPlan,
    HoleScore,
    MetricStatistics,
    ModelWeight,
    ModelWeightHistory,
)
from models.drain import Drain
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.visibility.owners import SessionOwner

#: Which rows of a table belong to a session.
Belongs = Callable[[UUID], ColumnElement[bool]]


@dataclass(frozen=True)
class Parents:
    """What rows are found by that are many, and have no index by their session."""

    column: Any
    #: The query for the uuids that a session's rows have in that column.
    of: Callable[[UUID], Any]


@dataclass(frozen=True)
class Branch:
    """The rows of a session in one table."""

    table: type[SQLModel]
    belongs: Belongs
    parents: Parents | None = None

    @cached_property
    def name(self) -> str:
        """What the table is called."""
        return str(self.table.__tablename__)


def _by_grid(table: Any) -> Branch:
    return Branch(table, lambda grid: col(table.grid_uuid) == grid)


def _by_key(table: Any) -> Branch:
    return Branch(table, lambda grid: col(table.key) == str(grid))


def _by_parent(table: Any, column: Any, parents: Callable[[UUID], Any]) -> Branch:
    return Branch(table, lambda grid: column.in_(parents(grid)), Parents(column, parents))


def _targets(grid: UUID) -> Any:
    return union_all(
        *(select(col(one.uuid)).where(col(one.grid_uuid) == grid) for one in (Square, Hole)),
        select(col(HoleGroup.uuid)).where(col(HoleGroup.grid_uuid) == grid),
    )


def _micrographs(grid: UUID) -> Any:
    return select(col(Micrograph.uuid)).where(col(Micrograph.grid_uuid) == grid)


def _of_group(grid: UUID) -> ColumnElement[bool]:
    return col(HoleGroupMember.group_uuid).in_(
        select(col(HoleGroup.uuid)).where(col(HoleGroup.grid_uuid) == grid)
    )


def _atlases(grid: UUID) -> Any:
    return select(col(Atlas.uuid)).where(col(Atlas.grid_uuid) == grid)


def _of_atlas(grid: UUID) -> ColumnElement[bool]:
    return col(AtlasTile.atlas_uuid).in_(_atlases(grid))


def _on_tile(grid: UUID) -> ColumnElement[bool]:
    tiles = select(col(AtlasTile.uuid)).where(col(AtlasTile.atlas_uuid).in_(_atlases(grid)))
    return col(TileSquare.tile_uuid).in_(tiles)


def _own_acquisition(grid: UUID) -> Any:
    """Return the query for a session's acquisition, if it has no other grid."""
    other = aliased(Grid)
    return select(col(Grid.acquisition_uuid)).where(
        col(Grid.uuid) == grid,
        ~exists().where(
            col(other.acquisition_uuid) == col(Grid.acquisition_uuid), col(other.uuid) != grid
        ),
    )


def agents_of(grid: UUID) -> ColumnElement[bool]:
    """Return the condition of an agent's session at this session's microscope."""
    # One that names only the acquisition goes with the last of its grids.
    return or_(
        col(AgentSession.grid_uuid) == grid,
        col(AgentSession.grid_uuid).is_(None)
        & col(AgentSession.acquisition_uuid).in_(_own_acquisition(grid)),
    )


def _owner_of(grid: UUID) -> ColumnElement[bool]:
    uuid = col(SessionOwner.uuid)
    return or_(uuid == grid, uuid.in_(_own_acquisition(grid)))


def _agents(grid: UUID) -> Any:
    return select(col(AgentSession.session_id)).where(agents_of(grid))


def _of_agent(table: Any) -> Branch:
    return Branch(table, lambda grid: col(table.session_id).in_(_agents(grid)))


def _acknowledgement_of(grid: UUID) -> ColumnElement[bool]:
    return col(InstructionAck.instruction_id).in_(
        select(col(Instruction.id)).where(col(Instruction.session_id).in_(_agents(grid)))
    )


#: The agents' part: some of it outlives the session, see `models.retention.removal`.
AGENTS: Final = (
    Branch(InstructionAck, _acknowledgement_of),
    _of_agent(Instruction),
    _of_agent(AgentConnection),
    _of_agent(AgentLog),
    Branch(AgentSession, agents_of),
)

#: What goes with the session, leaves first.
BRANCHES: Final = (
    _by_grid(HoleScore),
    _by_grid(GridPlan),
    _by_grid(CurrentMeasurement),
    _by_parent(Measurement, col(Measurement.micrograph_uuid), _micrographs),
    _by_grid(CurrentPrediction),
    _by_parent(Prediction, col(Prediction.target_uuid), _targets),
    _by_grid(ModelWeightHistory),
    _by_grid(ModelWeight),
    _by_grid(MetricStatistics),
    _by_grid(ModelParameter),
    Branch(HoleGroupMember, _of_group),
    _by_grid(HoleGroup),
    _by_grid(Decision),
    _by_grid(AthenaArea),
    _by_grid(AthenaSession),
    _by_key(OutboxMessage),
    _by_key(InboxMessage),
    _by_grid(Alias),
    _by_grid(Micrograph),
    _by_grid(Hole),
    Branch(TileSquare, _on_tile),
    _by_grid(Square),
    Branch(AtlasTile, _of_atlas),
    _by_grid(Atlas),
    Branch(SessionOwner, _owner_of),
)

#: The session itself, last of all: while it is there, a removal that was interrupted is found.
ROOT: Final = Branch(Grid, lambda grid: col(Grid.uuid) == grid)

#: Shared by the grids of one acquisition.
ACQUISITION: Final = Branch(
    Acquisition,
    lambda grid: col(Acquisition.uuid).in_(
        select(col(Grid.acquisition_uuid)).where(col(Grid.uuid) == grid)
    ),
)

#: Who works on a session at the moment: deleted with it, and no part of an archive.
DRAINS: Final = _by_key(Drain)
