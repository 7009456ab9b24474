"""Runs that die with their process, for `test_crashing.py`: `… DATABASE_URL FLOW KEY CULPRIT`.

Each run is a process of its own: forked, as importing takes longer than the run. It is rung
for as the sweep rings, drains the key, and dies on the spot when it meets the culprit.
Prints how each run ended, a word a line.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from uuid import uuid4

from sqlmodel import Session

from blocks.athena.client import AthenaClient
from blocks.resources import opened_doorbell
from core.clock import utcnow
from models import drain
from models.database import Database
from models.inbox import Received
from tasks.inbox import Outcome, drain_inbox
from tests.session_fixtures import QuietResources, RecordingLauncher, test_settings
from tests.support import wait_until

_DIED = 9
_MOST_RUNS = 40


async def run(url: str, flow: str, key: str, culprit: str) -> None:
    """Do what one run does."""
    database = Database(url)
    # Leases as short as they come: the runs follow one another as soon as they end.
    settings = test_settings(
        worker=test_settings().worker.model_copy(
            update={"lease_seconds": 0.5, "linger_seconds": 0, "batch_size": 50}
        )
    )

    def handle(_session: Session, messages: Sequence[Received]) -> Outcome:
        if any(str(message.id) == culprit for message in messages):
            os._exit(_DIED)
        return Outcome(done=list(messages))

    # Nobody is asked anything: there is no need for a simulated Athena.
    athena = AthenaClient("http://127.0.0.1:9")
    async with opened_doorbell(database) as doorbell:
        here = QuietResources(settings, database, doorbell, RecordingLauncher(), athena)

        async def rung() -> bool:
            return await database.write(drain.ring, flow=flow, key=key, now=utcnow())

        await wait_until(rung, what="the end of the last run's lease")
        await drain_inbox(here, flow=flow, key=key, handler=handle, flow_run_id=str(uuid4()))
    database.close()


def main() -> None:
    """Run until a run comes to its end."""
    for _ in range(_MOST_RUNS):
        child = os.fork()
        if child == 0:
            asyncio.run(run(*sys.argv[1:]))
            sys.stdout.flush()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        end = "died" if status == _DIED else "ended" if status == 0 else f"failed {status}"
        sys.stdout.write(f"{end}\n")
        if status != _DIED:
            return


if __name__ == "__main__":
    main()
