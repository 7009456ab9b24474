"""A run that died before it took its key: somebody else is launched, and at once."""

from uuid import UUID

from blocks.resources import provide
from core.clock import utcnow
from models import drain
from models.cryoem.intake import PREDICTIONS
from tasks.ringing import ring, ring_for_lost
from tests.integration.tasks.message_rig import Rig
from tests.session_fixtures import RecordingLauncher

GRID = UUID("c0ffee00-0000-0000-0000-000000000000")
BELL = (PREDICTIONS, str(GRID))
RUN = (PREDICTIONS, {"grid_uuid": str(GRID), "linger_seconds": None})


def launched(rig: Rig) -> list[tuple[str, str]]:
    launcher = rig.resources.launcher
    assert isinstance(launcher, RecordingLauncher)
    return launcher.launched


async def test_key_that_a_lost_run_was_launched_for_is_rung_anew(rig: Rig) -> None:
    await ring(rig.resources, [BELL])
    # While it is rung for, nobody else is launched.
    assert await ring(rig.resources, [BELL]) == 0
    with provide(rig.resources):
        await ring_for_lost(*RUN)
    assert launched(rig) == [BELL, BELL]


async def test_key_that_another_run_has_is_left_to_it(rig: Rig) -> None:
    await ring(rig.resources, [BELL])
    begun = await rig.database.write(
        drain.begin,
        flow=PREDICTIONS,
        key=str(GRID),
        holder="another",
        now=utcnow(),
        lease_seconds=30,
    )
    assert begun is not None
    with provide(rig.resources):
        await ring_for_lost(*RUN)
    assert launched(rig) == [BELL]
    await rig.database.write(drain.hold, begun, now=utcnow(), lease_seconds=30)


async def test_nobody_is_launched_for_what_nobody_rang_for(rig: Rig) -> None:
    with provide(rig.resources):
        await ring_for_lost(*RUN)
        await ring_for_lost("sweep", {})
    assert launched(rig) == []
