"""Sessions that were played through the real tasks."""

from models.cryoem.messages import HolePrediction, SquarePrediction
from tasks.cryoem.entities import drain_entities
from tasks.cryoem.predictions import drain_predictions
from tasks.cryoem.sessions import open_session
from tasks.cryoem.submission import drain_decisions
from tests.session_fixtures import Here, SmallSession


def square_prediction(session: SmallSession, square: int, value: float) -> SquarePrediction:
    return SquarePrediction(
        grid_uuid=session.grid,
        gridsquare_id=square,
        prediction_model_name="squares-net",
        prediction_value=value,
    )


def hole_prediction(session: SmallSession, hole: int, value: float) -> HolePrediction:
    return HolePrediction(
        grid_uuid=session.grid,
        foilhole_id=hole,
        prediction_model_name="holes-net",
        prediction_value=value,
    )


async def register(here: Here, session: SmallSession) -> None:
    """Bring in the files, and register grid, squares and holes with Athena."""
    await here.send(*session.all(), session.micrograph(1, session.holes[1][0]))
    await drain_entities.fn(session.grid)
    await open_session.fn(session.grid)
    await drain_entities.fn(session.grid)


async def predict(here: Here, session: SmallSession) -> None:
    """Predict squares (the first good, others bad) and all holes (the first of each good)."""
    await here.send(
        *(
            square_prediction(session, square, 0.9 if square == 1 else 0.1)
            for square in session.squares
        ),
        *(
            hole_prediction(session, hole, 0.8 if hole == holes[0] else 0.2)
            for holes in session.holes.values()
            for hole in holes
        ),
        source="models",
    )
    await drain_predictions.fn(session.grid)


async def play(here: Here, session: SmallSession) -> SmallSession:
    """Play a session to the end, and return it."""
    await register(here, session)
    await predict(here, session)
    await drain_decisions.fn(session.grid)
    return session
