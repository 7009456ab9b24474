"""The whole life of a session as one flow: all that is there is done, and once."""

import pytest

from domains.cryoem import ids
from flows.cryoem.session_lifecycle import session_lifecycle
from models.cryoem.messages import MotionCorrected
from tasks.intake import accept
from tests.integration.models.factories import hole_body
from tests.session_fixtures import Here, SmallSession

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    # Prefect leaves a socket of its client to the garbage collector when no worker runs a flow.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.usefixtures("prefect_server")
async def test_all_of_a_session_reaches_athena_and_once(here: Here) -> None:
    session = SmallSession(squares=1, holes=2)
    images = [session.micrograph(1, hole) for hole in session.holes[1]]
    await here.send(*session.all(), *images)
    bodies = [hole_body(ids.hole_uuid(session.grid, hole), 0.9) for hole in session.holes[1]]
    await accept(here.resources, bodies, source="test")
    stem = "FoilHole_101_Data_1_2_20260301_101010"
    await here.send(
        MotionCorrected.model_validate(
            {
                "micrograph_uuid": ids.micrograph_uuid(session.grid, stem),
                "total_motion": 7.5,
                "average_motion": 0.1,
            }
        )
    )
    for _ in range(2):
        await session_lifecycle(session.grid)
        decided = await here.client.find_decisions(session.grid)
        assert len([one for one in decided if one.decision_type == "foilHoleSelection"]) == 1
        values = await here.client.find_values(session.grid)
        assert [(one.area_id, one.name) for one in values] == [(101, "motioncorrection")]
