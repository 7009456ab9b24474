"""Predictions that know nothing: random values, to try out what predictions do."""

from collections.abc import Iterator, Sequence
from random import Random
from uuid import UUID

from core.ids import derived
from models.cryoem.decision_tables import Level
from models.cryoem.messages import HolePrediction, SquarePrediction


def guesses(
    model: str,
    grid: UUID,
    targets: Sequence[UUID],
    level: Level,
    span: tuple[float, float],
    chosen: Random,
) -> Iterator[HolePrediction | SquarePrediction]:
    """Give a prediction for each square or hole, evenly spread over a span within 0..1.

    The same seed gives the same messages, with the same ids.
    """
    call = UUID(int=chosen.getrandbits(128), version=4)
    for target in targets:
        said = {
            "message_id": str(derived(call, target)),
            "grid_uuid": grid,
            "prediction_model_name": model,
            "prediction_value": round(chosen.uniform(*span), 6),
        }
        if level is Level.SQUARE:
            yield SquarePrediction.model_validate({**said, "gridsquare_uuid": target})
        else:
            yield HolePrediction.model_validate({**said, "foilhole_uuid": target})
