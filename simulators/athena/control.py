"""The simulator's own controls, which are not of the contract."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from models.athena import AlgorithmResultRecord
from simulators.athena.faults import CONTROL, Faults
from simulators.athena.state import Sim
from simulators.athena.wire import body_of, many, nothing

router = APIRouter(prefix=CONTROL)


class StatsAnswer(BaseModel):
    """What the service was asked since it started."""

    requests: int
    refused: int
    dropped: int
    waiting: int
    operations: dict[str, int]
    statuses: dict[int, int]


@router.get("/stats")
async def stats(sim: Sim) -> StatsAnswer:
    """Return counts of requests: all, refused, dropped, by operation, by status.

    `waiting` are the TimedDecisions that wait now.
    """
    told = sim.injector.stats
    return StatsAnswer(
        requests=told.requests,
        refused=told.refused,
        dropped=told.dropped,
        waiting=len(sim.waiters),
        operations=dict(told.operations),
        statuses=dict(told.statuses),
    )


@router.get("/faults")
async def get_faults(sim: Sim) -> Faults:
    """Return the faults in force."""
    return sim.injector.faults


@router.put("/faults")
async def put_faults(sim: Sim, faults: Faults) -> Faults:
    """Put other faults into force."""
    sim.injector.set(faults)
    return faults


@router.post("/algorithm-results", status_code=HTTPStatus.NO_CONTENT)
async def post_algorithm_results(
    sim: Sim,
    results: Annotated[tuple[AlgorithmResultRecord, ...], Depends(many(AlgorithmResultRecord))],
) -> Response:
    """Store what the microscope's own algorithms found: the contract only reads it."""
    now = sim.clock()
    for result in results:
        sim.check_area(result.session_id, result.area_id)
    rows = [
        {
            "session": str(result.session_id),
            "area": result.area_id,
            "name": result.name or "",
            "body": body_of(result.model_copy(update={"timestamp": result.timestamp or now})),
        }
        for result in results
    ]
    with sim.store.commit():
        sim.store.insert("algorithm_result", rows)
    return nothing()
