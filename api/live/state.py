"""What streams need, made with the application and handed to each request."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.live.hub import Hub
from api.live.limits import Limits
from api.state import Services


@dataclass(frozen=True)
class Live:
    """The streams of one process."""

    hub: Hub
    limits: Limits

    @classmethod
    def of(cls, services: Services) -> "Live":
        """Return the streams of an application; nothing runs before the first."""
        chosen = services.settings.streams
        return cls(Hub(chosen, services.database, services.doorbell), Limits(chosen))


def _live(request: Request) -> Live:
    return request.app.state.live


Streaming = Annotated[Live, Depends(_live)]


def end_streams(app: object) -> None:
    """Have an application's streams end, since its server stops; they would stay for ever."""
    live = getattr(getattr(app, "state", None), "live", None)
    if isinstance(live, Live):
        live.hub.close()
