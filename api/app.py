"""The HTTP API: `create_app` puts it together from what it is handed."""

from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline

from api import decisions, errors, health, messages, openapi, sessions
from api.state import Services
from core.settings import Settings
from core.version import version
from messaging.doorbell import Doorbell
from messaging.launcher import Launcher
from models.database import Database


def create_app(
    settings: Settings,
    *,
    database: Database,
    doorbell: Doorbell,
    launcher: Launcher | None,
    prefect_ui: str | None = None,
) -> FastAPI:
    """Return the API on open collaborators, which remain the caller's to close.

    Args:
        settings: Limits, and where Prefect is.
        database: Migrated.
        doorbell: Wakes runs that linger.
        launcher: Creates runs; without one, messages are stored and left to the sweep.
        prefect_ui: Address of Prefect's UI, where it is not the one in the settings.
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
    app.state.prefect_ui = prefect_ui or f"http://{settings.prefect.host}:{settings.prefect.port}"
    app.openapi = partial(openapi.describe, app)
    errors.install(app)
    for router in (messages.router, sessions.router, decisions.router, health.router):
        app.include_router(router)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
