"""Show how a session goes as pictures in Prefect's pages, one artifact for each session.

The pictures are part of a markdown artifact: on the page of an image artifact Prefect shows the
whole address below the picture, which here is the picture itself.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.exceptions import ObjectNotFound

from blocks.resources import current
from core.clock import utcnow
from models.cryoem.queries.pictures import read_pictures
from models.cryoem.session_pictures import SessionPictures

#: Pictures of a session are made at most so often, unless it is closed.
_PAUSE = timedelta(minutes=1)


@task(name="picture session")
async def picture_session(grid_uuid: UUID, *, now: bool = False) -> bool:
    """Leave pictures of the session as an artifact; False where they are too new to be made anew.

    Older ones of the same session are deleted: what they showed is in the tables, and each
    weighs more than all that a run tells otherwise.
    """
    here = current()
    key = f"pictures-{str(grid_uuid)[:8]}"
    async with get_client() as client:
        older = await _versions(client, key)
        if not now and any(one.created and one.created > utcnow() - _PAUSE for one in older):
            return False
        cutoff = here.settings.decisions.ctf_cutoff
        shown = await here.database.read(read_pictures, grid_uuid, cutoff=cutoff)
        drawn = await asyncio.to_thread(_draw, shown)
        await acreate_markdown_artifact(
            markdown=as_markdown(shown, drawn), key=key, description=f"Pictures of {shown.name}."
        )
        for one in older:
            await _forget(client, one)
    return True


async def _versions(client: PrefectClient, key: str) -> list[Artifact]:
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    return await client.read_artifacts(artifact_filter=only)


async def _forget(client: PrefectClient, artifact: Artifact) -> None:
    try:
        await client.delete_artifact(artifact.id)
    except ObjectNotFound:
        return  # another run has done so


def _draw(shown: SessionPictures) -> dict[str, bytes]:
    from tasks.cryoem import drawing  # noqa: PLC0415 (matplotlib takes a second, a worker's start shall not)

    return {
        "Atlas, by score": drawing.atlas(shown),
        "Where the next holes are": drawing.square(shown),
        "Weights of the models": drawing.weights(shown),
        "What was collected": drawing.exposures(shown),
    }


def as_markdown(shown: SessionPictures, drawn: Mapping[str, bytes]) -> str:
    """Return the pictures as a page that needs nothing else."""
    lines = [
        f"# {shown.name}",
        "",
        f"As of {utcnow():%Y-%m-%d %H:%M:%S} UTC. The same, to zoom into, with all decisions: "
        f"`athanor report {shown.grid_uuid} -o report.html`.",
    ]
    for title, png in drawn.items():
        data = b64encode(png).decode("ascii")
        lines += ["", f"## {title}", "", f"![{title}](data:image/png;base64,{data})"]
    return "\n".join(lines)
