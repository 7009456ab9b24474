"""What an archive holds, as it says itself; and which tables stand in it in which order."""

import hashlib
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select, union
from sqlmodel import col

from core.errors import ArchiveRefused
from models.cryoem.decision_tables import CurrentPrediction, PredictionModel
from models.cryoem.processing_tables import ModelParameter
from models.cryoem.weight_tables import ModelWeight
from models.retention.subtree import ACQUISITION, AGENTS, BRANCHES, ROOT, Branch

#: Of the archive; the schema has a number of its own.
FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
#: Longest manifest that is read: ours have a few kilobytes.
MANIFEST_BYTES: Final = 1024**2

#: Models that predicted here: shared by all sessions, so one that is there stays as it is.
MODELS: Final = Branch(
    PredictionModel,
    lambda grid: col(PredictionModel.name).in_(
        union(
            *(
                select(col(table.model_name)).where(col(table.grid_uuid) == grid)
                for table in (CurrentPrediction, ModelWeight, ModelParameter)
            )
        )
    ),
)

#: Tables of an archive: what is referred to goes before what refers to it.
TABLES: Final = (MODELS, ACQUISITION, ROOT, *reversed(BRANCHES), *reversed(AGENTS))


def member_name(position: int) -> str:
    """Return what the file of a table is called in an archive."""
    return f"{position + 1:02}-{TABLES[position].name}.jsonl"


class Member(BaseModel):
    """One file of an archive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[0-9]{2}-[a-z_]+\.jsonl$", description="In the archive.")
    rows: int = Field(ge=0, description="Lines.")
    bytes: int = Field(ge=0, description="Size, unpacked.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of its content.")

    @property
    def table(self) -> str:
        """The table whose rows it holds."""
        return self.name[3:].removesuffix(".jsonl")


class Manifest(BaseModel):
    """What an archive says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    kind: Literal["athanor-session"] = "athanor-session"
    format: int = Field(description="Of the archive.")
    athanor: str = Field(description="Version that wrote it.")
    revision: str = Field(pattern=r"^[0-9]{4}$", description="Of the schema.")
    exported_at: AwareDatetime = Field(description="When it was written.")
    grid_uuid: UUID = Field(description="The session's grid.")
    name: str = Field(max_length=10_000, description="What EPU called the session.")
    numbers: int = Field(ge=0, le=2**40, description="How many messages its rows refer to.")
    members: tuple[Member, ...] = Field(description="Its files, in their order.")

    @property
    def digest(self) -> str:
        """Tells this content from any other, whenever it was exported."""
        found = hashlib.sha256(f"{self.format} {self.revision} {self.grid_uuid}".encode())
        for one in self.members:
            found.update(f"{one.name} {one.sha256}\n".encode())
        return found.hexdigest()

    @property
    def rows(self) -> dict[str, int]:
        """Rows by table, of those that have any."""
        return {one.table: one.rows for one in self.members if one.rows}

    def branches(self) -> list[Branch]:
        """Return the tables of the members; those that this schema has not, or not there, fail.

        Raises:
            ArchiveRefused: A member is of no table of an archive, or stands at a wrong place.
        """
        places = {branch.name: place for place, branch in enumerate(TABLES)}
        found = [places.get(one.table, -1) for one in self.members]
        if -1 in found or found != sorted(set(found)):
            raise ArchiveRefused("Its manifest names other files than an archive has.")
        return [TABLES[place] for place in found]

    def text(self) -> bytes:
        """Return it as it stands in the archive."""
        return (self.model_dump_json(indent=2) + "\n").encode()


def exported(at: datetime) -> str:
    """Return a moment as it stands in the name of an archive."""
    return at.strftime("%Y%m%dT%H%M%SZ")
