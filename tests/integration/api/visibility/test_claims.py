"""Whose the new is, and what messages may name."""

from uuid import uuid4

import pytest

from core.caller import ANYONE, asking
from core.errors import NotFound, OrganisationUnclear, OutOfSight
from domains.cryoem import ids
from models.cryoem.messages import SquarePrediction
from models.cryoem.queries.messages import get_message
from models.database import Database
from models.visibility import owning
from models.visibility.choice import choosing
from tasks.cryoem.entities import drain_entities
from tests.integration.api.visibility.conftest import asked_by
from tests.session_fixtures import Here, SmallSession


def about(uuid: object) -> SquarePrediction:
    return SquarePrediction.model_validate(
        {
            "event_type": "gridsquare.model_prediction",
            "gridsquare_uuid": uuid,
            "prediction_model_name": "squares-net",
            "prediction_value": 0.5,
        }
    )


async def test_a_session_is_whose_agent_sends_it_first(here: Here) -> None:
    session = SmallSession()
    with asked_by("a"):
        await here.send(*session.all())
    with asked_by("b"), pytest.raises(OutOfSight):
        await here.send(session.square(1))
    await drain_entities.fn(session.grid)
    with asked_by("b"), pytest.raises(OutOfSight):
        await here.send(session.micrograph(1, session.holes[1][0]))
    with asked_by("b"), pytest.raises(OutOfSight):
        await here.send(about(ids.square_uuid(session.grid, 1)))
    with asked_by("a"):
        await here.send(about(ids.square_uuid(session.grid, 1)))

    keys = [str(session.grid), str(ids.acquisition_uuid(session.manifest))]
    owned = await here.resources.database.read(owning.owners, keys)
    assert owned == dict.fromkeys(keys, "a")


async def test_what_waits_for_anothers_session_waits_for_ever(here: Here) -> None:
    session = SmallSession()
    square = ids.square_uuid(session.grid, 1)
    sent = {}
    for name in ("a", "b"):
        with asked_by(name):
            (sent[name],) = (await here.send(about(square))).stored
    with asked_by("a"):
        await here.send(*session.all())
    await drain_entities.fn(session.grid)

    read = here.resources.database.read
    states = {name: (await read(get_message, one.id)).state for name, one in sent.items()}
    assert states == {"a": "pending", "b": "waiting"}
    with asked_by("b"), pytest.raises(NotFound):
        await read(get_message, sent["a"].id)


async def test_nobodys_message_is_taken_for_anothers(here: Here) -> None:
    message = about(uuid4()).model_copy(update={"message_id": "1"})
    stored = []
    for name in ("a", "b", "a"):
        with asked_by(name):
            stored += (await here.send(message)).stored
    assert [one.repeated for one in stored] == [False, False, True]


async def test_who_has_several_organisations_says_for_which(here: Here) -> None:
    session = SmallSession()
    with asked_by("a", "b"):
        with pytest.raises(OrganisationUnclear):
            await here.send(session.session())
        with choosing("b"):
            await here.send(session.session())
        # From then on it is known.
        await here.send(session.square(1))
    owned = await here.resources.database.read(owning.owners, [str(session.grid)])
    assert owned == {str(session.grid): "b"}


async def test_the_folder_of_a_session_tells_whose_it_is(here: Here, database: Database) -> None:
    session = SmallSession()
    told = session.session().model_copy(update={"path": "/data/2024/cm40593-3/raw/EpuSession.dm"})
    pattern = r"/data/\d{4}/(?P<organisation>cm\d+-\d+)/"
    visits = Database(database.url.render_as_string(hide_password=False), visit_pattern=pattern)
    object.__setattr__(here.resources, "database", visits)
    try:
        with asking(ANYONE):
            await here.send(told)
        await drain_entities.fn(session.grid)
    finally:
        visits.close()
    acquisition = str(ids.acquisition_uuid(session.manifest))
    assert await database.read(owning.owners, [acquisition]) == {acquisition: "cm40593-3"}
