"""Messages in an order that makes sense: one square through all processing, or many squares."""

from collections.abc import Iterator
from enum import StrEnum
from random import Random

from models.cryoem.messages import Message
from simulators.messages.kinds import make, probability
from simulators.messages.world import World, stem_of

#: Most holes of a square that are imaged.
_IMAGED = 3


class Scenario(StrEnum):
    """How good the squares are."""

    GOOD = "good"
    POOR = "poor"
    MIXED = "mixed"


_QUALITY = {
    Scenario.GOOD: (0.75, 0.95),
    Scenario.POOR: (0.05, 0.3),
    Scenario.MIXED: (0.1, 0.95),
}


def workflow(world: World, chosen: Random, *, entities: bool = False) -> Iterator[Message]:
    """Give what is published about the first square, from its prediction to its particles.

    With `entities`, grid, square, holes and micrographs are told of before anything about them.
    """
    square, holes = next(iter(world.squares.items()))
    grid = {"grid_uuid": str(world.grid)}
    if entities:
        yield from _entities(world, chosen, square)
    yield from predictions(world, chosen, square, chosen.uniform(*_QUALITY[Scenario.GOOD]))
    for hole in holes[:_IMAGED]:
        stem = stem_of(hole, chosen)
        if entities:
            image = {**grid, "foilhole_id": hole, "micrograph_id": stem}
            yield make("micrograph.created", world, chosen, image)
        for event_type in (
            "motion_correction.completed",
            "ctf.completed",
            "particle_picking.completed",
            "particle_selection.completed",
        ):
            yield make(event_type, world, chosen, {**grid, "micrograph_id": stem})
    yield make("refresh.predictions", world, chosen)


def _entities(world: World, chosen: Random, square: int) -> Iterator[Message]:
    if world.acquisition is not None:
        yield make("acquisition.created", world, chosen)
    yield make("grid.created", world, chosen)
    yield make("gridsquare.created", world, chosen, {"gridsquare_id": square})
    for hole in world.squares[square]:
        named = {"gridsquare_id": square, "foilhole_id": hole}
        yield make("foilhole.created", world, chosen, named)
    known = {"gridsquare_id": square, "count": len(world.squares[square])}
    yield make("gridsquare.registered", world, chosen, known)


def predictions(world: World, chosen: Random, square: int, quality: float) -> Iterator[Message]:
    """Give the prediction for a square, its quality, then those for its holes around it."""
    about = {"gridsquare_id": square, "prediction_value": round(quality, 4)}
    yield make("gridsquare.model_prediction", world, chosen, about)
    for hole in world.squares[square]:
        named = {"foilhole_id": hole, "prediction_value": probability(chosen, quality)}
        yield make("foilhole.model_prediction", world, chosen, named)


def batch(world: World, chosen: Random, scenario: Scenario) -> Iterator[Message]:
    """Give the predictions for all squares of a grid, square by square."""
    for square in world.squares:
        yield from predictions(world, chosen, square, chosen.uniform(*_QUALITY[scenario]))
