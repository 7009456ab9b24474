"""Open and close a grid's Athena session and its acquisition run."""

from uuid import UUID

from prefect import task

from blocks.resources import Resources, current
from core.clock import utcnow
from core.errors import AthenaConflict, AthenaNotFound
from models.athena import GridType, Run, Session
from models.cryoem import athena
from models.cryoem.decision_tables import AthenaSession
from models.cryoem.intake import AREAS
from tasks.cryoem.areas import REGISTER_SESSION
from tasks.draining import holding
from tasks.retrying import RETRIES
from tasks.ringing import ring

#: The deployment that stops a session's run.
CLOSE_SESSION = "close-session"


@task(name="register session at Athena", **RETRIES)
async def open_session(grid_uuid: UUID) -> bool:
    """Give the grid its Athena session and a run; False when another run is at it.

    A session that Athena has already, by our name or id, is adopted; so is a run that goes on.
    """
    here = current()
    # Held alone: two runs at once would start two acquisition runs.
    async with holding(here, flow=REGISTER_SESSION, key=str(grid_uuid)) as lease:
        if lease is None:
            return False
        await _open(here, grid_uuid)
    await ring(here, [(AREAS, str(grid_uuid))])
    return True


async def _open(here: Resources, grid_uuid: UUID) -> None:
    row = await here.database.read(athena.get_session, grid_uuid)
    if row is None:
        row = await _create_or_adopt(here, grid_uuid)
        await here.database.write(athena.save_session, row)
    if row.run_number is None:
        run = await _start_or_adopt(here, row.session_id)
        await here.database.write(
            athena.set_run,
            grid_uuid,
            known=None,
            run_number=run.run_number,
            run_started_at=run.start_time or utcnow(),
        )


async def _create_or_adopt(here: Resources, grid_uuid: UUID) -> AthenaSession:
    grid, _ = await here.database.read(athena.get_grid, grid_uuid)
    known = {one.value for one in GridType}
    asked = Session(
        session_id=grid_uuid,
        session_name=f"Grid_{grid.name}",
        grid_type=GridType(grid.grid_type) if grid.grid_type in known else GridType.HOLEY_CARBON,
        timestamp=utcnow(),
    )
    given, adopted = await _create_or_find(here, asked)
    if await here.database.read(athena.has_other_grid, given.session_id, grid_uuid):
        # Clients call several grids by one name, which Athena gives only once.
        name = athena.own_name(asked.session_name, grid_uuid)
        given, adopted = await _create_or_find(
            here, asked.model_copy(update={"session_name": name})
        )
    return AthenaSession(
        grid_uuid=grid_uuid,
        session_id=given.session_id or grid_uuid,
        session_name=given.session_name,
        grid_type=given.grid_type,
        adopted=adopted,
        registered_at=utcnow(),
    )


async def _create_or_find(here: Resources, asked: Session) -> tuple[Session, bool]:
    """Return the session, and whether it was there already."""
    try:
        return await here.athena.create_session(asked), False
    except AthenaConflict:
        # The name or the id is taken, most likely by an earlier try of ours.
        return await _taken(here, asked), True


async def _taken(here: Resources, asked: Session) -> Session:
    assert asked.session_id is not None  # noqa: S101 (set by the only caller)
    try:
        return await here.athena.find_session(asked.session_name)
    except AthenaNotFound:
        return await here.athena.get_session(asked.session_id)


async def _start_or_adopt(here: Resources, session_id: UUID) -> Run:
    # RunStart is not idempotent: a run that goes on is the one an earlier try started.
    going_on = [run for run in await here.athena.find_runs(session_id) if run.stop_time is None]
    if going_on:
        return max(going_on, key=lambda run: run.run_number)
    return await here.athena.start_run(session_id)


@task(name="stop run at Athena", **RETRIES)
async def close_run(grid_uuid: UUID, reason: str | None = None) -> bool:
    """Stop the grid's run at Athena; False when there is none to stop."""
    here = current()
    async with holding(here, flow=CLOSE_SESSION, key=str(grid_uuid)) as lease:
        return lease is not None and await _close(here, grid_uuid, reason)


async def _close(here: Resources, grid_uuid: UUID, reason: str | None) -> bool:
    row = await here.database.read(athena.get_session, grid_uuid)
    if row is None or row.run_number is None or row.run_stopped_at is not None:
        return False
    _, acquisition = await here.database.read(athena.get_grid, grid_uuid)
    why = reason or acquisition.end_reason or "no news from the session for long"
    run = await here.athena.get_run(row.session_id, row.run_number)
    if run.stop_time is None:
        run = await here.athena.stop_run(row.session_id, row.run_number, why)
    await here.database.write(
        athena.set_run,
        grid_uuid,
        known=row.run_number,
        run_stopped_at=run.stop_time or utcnow(),
        stop_reason=run.stop_reason or why,
    )
    return True
