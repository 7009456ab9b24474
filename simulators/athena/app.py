"""The simulated Athena Decision Service: all 46 operations, over a state that lasts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from core.clock import utcnow
from simulators.athena import areas, configuration, control, decisions, sessions, values
from simulators.athena.faults import FaultInjector, FaultMiddleware, Faults
from simulators.athena.state import Simulator
from simulators.athena.storage import Store
from simulators.athena.wire import Problem, describe, rejected


def create_app(
    state_path: Path | None = None,
    faults: Faults | None = None,
    clock: Callable[[], datetime] = utcnow,
) -> FastAPI:
    """Return the service; its lifespan opens and closes the state.

    Args:
        state_path: SQLite file of the state; None keeps it in memory.
        faults: How badly the service behaves.
        clock: Where times come from.
    """
    injector = FaultInjector(faults or Faults())
    simulator = Simulator(Store(state_path), injector, clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        simulator.store.open()
        yield
        simulator.store.close()

    app = FastAPI(title="Athena Decision Service (simulated)", version="v1", lifespan=lifespan)
    app.state.simulator = simulator
    for part in (sessions, areas, decisions, values, configuration, control):
        app.include_router(part.router)
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_middleware(FaultMiddleware, injector=injector)
    return app


async def _answer_problem(_request: Request, error: Exception) -> Response:
    return cast("Problem", error).answer()


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    return rejected(describe(cast("RequestValidationError", error).errors())).answer()


async def _answer_http(_request: Request, error: Exception) -> Response:
    failed = cast("HTTPException", error)
    answer = Problem(HTTPStatus(failed.status_code), failed.detail).answer()
    answer.headers.update(failed.headers or {})
    return answer
