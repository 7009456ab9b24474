"""Which squares of a grid, and which holes of a square, to image first."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from domains.cryoem import suggesting
from models.cryoem.decision_tables import CurrentPrediction, Level
from models.cryoem.model_registry import known_model
from models.cryoem.smartem import latent
from models.cryoem.smartem.known import known
from models.cryoem.smartem.prediction_reads import latest
from models.cryoem.smartem.views import HOLES, SQUARES
from models.cryoem.tables import Grid, Hole, Square
from models.listing import Listing, Row, find
from models.sql import chunks


def squares(session: Session, grid: UUID, model: str, latent_model: str) -> list[Row]:
    """Return the squares of a grid to image first, the best first.

    Args:
        session: The transaction.
        grid: The grid.
        model: What predicts squares.
        latent_model: What clusters them.

    Raises:
        NotFound: There is no such grid or model.
    """
    known(session, Grid, grid)
    known_model(session, model)
    known_model(session, latent_model)
    of_grid = session.execute(
        select(col(Square.uuid), col(Square.atlas_width))
        .where(col(Square.grid_uuid) == grid, col(Square.deleted_at).is_(None))
        .order_by(col(Square.square_id))
    )
    values = _values(session, grid, model, Level.SQUARE)
    worth = {
        str(uuid): suggesting.square_worth(values[uuid], width)
        for uuid, width in of_grid
        if uuid in values
    }
    clusters = latent.clusters(session, latent_model, grid)
    best = suggesting.suggested(worth, clusters, of_a_cluster=suggesting.SQUARES_OF_A_CLUSTER)
    return _shown(session, SQUARES, best)


def holes(session: Session, square: UUID, model: str, latent_model: str) -> list[Row]:
    """Return the holes of a square to image first, the best first.

    Args:
        session: The transaction.
        square: The square.
        model: What predicts holes.
        latent_model: What clusters them.

    Raises:
        NotFound: There is no such square or model.
    """
    grid = known(session, Square, square).grid_uuid
    known_model(session, model)
    known_model(session, latent_model)
    of_square = session.scalars(
        select(col(Hole.uuid))
        .where(col(Hole.square_uuid) == square, col(Hole.deleted_at).is_(None))
        .order_by(col(Hole.hole_id))
    ).all()
    values = _values(session, grid, model, Level.HOLE, square=square)
    worth = {str(uuid): values[uuid] for uuid in of_square if uuid in values}
    clusters = latent.clusters(session, latent_model, grid, only=list(map(str, of_square)))
    best = suggesting.suggested(worth, clusters, of_a_cluster=suggesting.HOLES_OF_A_CLUSTER)
    return _shown(session, HOLES, best)


def _shown(session: Session, listing: Listing, uuids: Sequence[str]) -> list[Row]:
    return [
        row
        for part in chunks([UUID(uuid) for uuid in uuids])
        for row in find(session, listing, part)
    ]


def _values(
    session: Session, grid: UUID, model: str, level: Level, *, square: UUID | None = None
) -> dict[UUID, float]:
    statement = select(CurrentPrediction, col(CurrentPrediction.target_uuid)).where(
        col(CurrentPrediction.grid_uuid) == grid,
        col(CurrentPrediction.level) == level,
        col(CurrentPrediction.model_name) == model,
    )
    if square is not None:
        statement = statement.join(
            Hole, col(Hole.uuid) == col(CurrentPrediction.target_uuid)
        ).where(col(Hole.square_uuid) == square)
    rows = session.execute(statement).tuples()
    return {row.target_uuid: row.value for row, _ in latest(rows)}
