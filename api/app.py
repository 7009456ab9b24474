"""The HTTP API: `create_app` puts it together from what it is handed."""

from collections.abc import Sequence
from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from prometheus_client.registry import Collector

from api import (
    audit,
    decisions,
    errors,
    frontend,
    guards,
    health,
    messages,
    metrics,
    openapi,
    other_names,
    retention,
    sessions,
)
from api.access import keys as access_keys
from api.access import routes as access_routes
from api.access.bearers import Access
from api.agent import rooms as agent
from api.live.state import Live
from api.smartem import rooms as smartem
from api.state import Services
from core.exposition import gathered
from core.settings import Settings
from core.version import version
from messaging.doorbell import Doorbell
from messaging.launcher import Launcher
from models.cryoem.instructions.counting import ChannelDepths
from models.cryoem.kinds import MESSAGE_KINDS, OUTBOX_KINDS
from models.database import Database
from models.depths import QueueDepths


def create_app(
    settings: Settings,
    *,
    database: Database,
    doorbell: Doorbell,
    launcher: Launcher | None,
    prefect_ui: str | None = None,
    collectors: Sequence[Collector] = (),
) -> FastAPI:
    """Return the API on open collaborators, which remain the caller's to close.

    Args:
        settings: Limits, and where Prefect is.
        database: Migrated.
        doorbell: Wakes runs that linger.
        launcher: Creates runs; without one, messages are stored and left to the sweep.
        prefect_ui: Address of Prefect's UI, where it is not the one in the settings.
        collectors: What /metrics shows besides what is counted and the depth of the queues.
    """
    # Its pages come from this server: microscopes stand in networks without the internet.
    app = FastAPIOffline(
        title="Athanor",
        version=version(),
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        generate_unique_id_function=_operation_id,
        # An answer is under the path asked for or nowhere.
        redirect_slashes=False,
    )
    app.state.services = Services(settings, database, doorbell, launcher)
    app.state.live = Live.of(app.state.services)
    app.state.prefect_ui = prefect_ui or f"http://{settings.prefect.host}:{settings.prefect.port}"
    depths = QueueDepths(database, message_kinds=MESSAGE_KINDS, decision_kinds=OUTBOX_KINDS)
    app.state.metrics = gathered(depths, ChannelDepths(database), *collectors)
    app.openapi = partial(openapi.describe, app)
    errors.install(app)
    other_names.install(app)
    app.state.access = Access(settings, database)
    guards.stand_before(app, settings, database)
    for router in (access_routes.router, access_keys.router):
        app.include_router(router)
    for router in agent.routers(settings.instructions):
        app.include_router(router)
    for room in (messages, sessions, decisions, retention, audit, frontend, health, metrics):
        app.include_router(room.router)
    for router in smartem.ROUTERS:
        app.include_router(router)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
