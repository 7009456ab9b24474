"""What our own agent reads in EPU's files, and that a session is over."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from domains.cryoem.manifests import (
    AtlasManifest,
    EpuSession,
    ImageManifest,
    ImageName,
    Moment,
    SquareManifest,
    Text,
)
from models.cryoem.messages.base import Message


class _EpuMessage(Message):
    """What the agent read in one file; `observed_at` is the file's own modification time."""

    grid_uuid: UUID = Field(description="The grid that the session images.")
    path: Text = Field(description="Where the file was read.")
    observed_at: Moment = Field(description="The file's own modification time.")


class EpuSessionMessage(_EpuMessage):
    """An EpuSession.dm was read."""

    event_type: Literal["epu.session"] = "epu.session"
    manifest: EpuSession


class EpuAtlasMessage(_EpuMessage):
    """An Atlas.dm was read."""

    event_type: Literal["epu.atlas"] = "epu.atlas"
    manifest: AtlasManifest


class EpuSquareMessage(_EpuMessage):
    """A Metadata/GridSquare_N.dm was read."""

    event_type: Literal["epu.square"] = "epu.square"
    manifest: SquareManifest


class EpuImageMessage(_EpuMessage):
    """An image manifest was read: of a square, a hole or a micrograph, as its name says."""

    event_type: Literal["epu.image"] = "epu.image"
    name: ImageName
    manifest: ImageManifest


class EpuFailureMessage(Message):
    """A file could not be read and is not expected to heal by itself."""

    event_type: Literal["epu.failure"] = "epu.failure"
    grid_uuid: UUID | None = Field(None, description="The grid, when it is known.")
    path: Text = Field(description="The file that could not be read.")
    reason: Text = Field(description="Why, in words for a person.")
    observed_at: Moment = Field(description="The file's own modification time.")


class SessionEndedMessage(Message):
    """The acquisition of a grid is over."""

    event_type: Literal["session.ended"] = "session.ended"
    grid_uuid: UUID = Field(description="The grid whose acquisition is over.")
    reason: Text = Field("finished", description="Why it is over; Athena is told.")
    last_file_at: Moment | None = Field(
        None,
        description="When its last file was written, by the instrument's clock: a newer file "
        "opens the session anew.",
    )


EpuMessage = EpuSessionMessage | EpuAtlasMessage | EpuSquareMessage | EpuImageMessage
