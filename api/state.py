"""What routes need, handed to `create_app` and from there to each request."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from core.settings import Settings
from messaging.doorbell import Doorbell
from messaging.launcher import Launcher
from models.database import Database
from tasks.cryoem.channel_writes import ChannelWriter
from tasks.cryoem.entity_writes import EntityWriter
from tasks.cryoem.imaging.gallery import Gallery


@dataclass(frozen=True)
class Services:
    """Collaborators of the API."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    launcher: Launcher | None

    @cached_property
    def writer(self) -> EntityWriter:
        """Takes what requests write, those of one moment together."""
        return EntityWriter(self, publish=self.settings.rabbitmq.publishes)

    @cached_property
    def channel(self) -> ChannelWriter:
        """Writes for streams and agents, for all of one moment together."""
        return ChannelWriter(self)

    @cached_property
    def gallery(self) -> Gallery:
        """Shows pictures of atlases and squares."""
        return Gallery(self.settings.images)


async def _services(request: Request) -> Services:
    return request.app.state.services


Serving = Annotated[Services, Depends(_services)]
