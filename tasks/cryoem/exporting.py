"""Write a session as one file."""

import asyncio
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import Field

from core.clock import utcnow
from models.database import Database
from models.paging import View
from models.retention.archive import writing
from models.retention.archive.writing import Progress


class Exported(View):
    """An archive that was written."""

    path: str = Field(description="The file.")
    sha256: str = Field(description="Of the file.")
    bytes: int = Field(description="Its size.")
    digest: str = Field(description="Of what is in it, whenever it was written.")
    grid_uuid: UUID = Field(description="The session's grid.")
    rows: dict[str, int] = Field(description="Rows by table.")


def _silent(_what: str, _rows: int) -> None:
    """Tell nobody."""


async def export_session(
    database: Database,
    grid: UUID,
    path: Path,
    *,
    now: datetime | None = None,
    progress: Progress = _silent,
) -> Exported:
    """Write a session with all that belongs to it; what was at the path is replaced at the end.

    Raises:
        NotFound: There is no such session.
        StorageUnavailable: The file cannot be written.
    """
    manifest, sha256 = await asyncio.to_thread(
        writing.write, database, grid, path, now=now or utcnow(), progress=progress
    )
    size = (await asyncio.to_thread(path.stat)).st_size
    return Exported(
        path=str(path),
        sha256=sha256,
        bytes=size,
        digest=manifest.digest,
        grid_uuid=grid,
        rows=manifest.rows,
    )
