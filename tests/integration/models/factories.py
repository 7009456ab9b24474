"""Messages and rows for tests, built by hand."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import Session

from domains.cryoem import ids
from domains.cryoem.manifests import (
    AtlasManifest,
    AtlasTile,
    EpuSession,
    Extent,
    HoleCenter,
    HoleTarget,
    ImageManifest,
    ImageName,
    Point,
    SquareManifest,
    SquarePlacement,
    SquareReference,
    StagePosition,
    TilePosition,
)
from models import inbox
from models.cryoem.entities import Applied, apply_epu
from models.cryoem.messages import (
    EpuAtlasMessage,
    EpuImageMessage,
    EpuSessionMessage,
    EpuSquareMessage,
    Prediction,
    parse,
)
from models.cryoem.predictions import Item
from models.database import Database
from models.inbox import NewMessage, Received, Stored

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAX_ATTEMPTS = 3


def after(seconds: float) -> datetime:
    """Return the moment so long after noon."""
    return NOON + timedelta(seconds=seconds)


# Inbox --------------------------------------------------------------------------------------


def new_message(key: str = "grid", *, flow: str = "flow", **values: Any) -> NewMessage:
    """Return a message to store."""
    return NewMessage(
        **{
            "source": "test",
            "domain": "cryoem",
            "kind": "kind",
            "flow": flow,
            "key": key,
            "payload": {"n": 1},
            **values,
        }
    )


def store(database: Database, *messages: NewMessage, now: datetime = NOON) -> list[Stored]:
    """Store messages in a transaction of their own."""
    with database.transaction() as session:
        return inbox.store(session, messages, now=now)


def take(
    session: Session,
    *,
    now: datetime = NOON,
    key: str = "grid",
    flow: str = "flow",
    limit: int = 100,
) -> list[Received]:
    """Take messages as a run does that holds the key."""
    return inbox.take(session, flow=flow, key=key, now=now, limit=limit, max_attempts=MAX_ATTEMPTS)


def claim(session: Session, holder: str = "worker", *, now: datetime = NOON) -> list[Received]:
    """Take the next message and count it as tried, with a lease of 30 s."""
    messages = take(session, now=now, limit=1)
    inbox.claim(session, messages, holder=holder, now=now, lease_seconds=30)
    return messages


# Messages of EPU ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """One grid of one EPU session, and the squares and holes on it."""

    grid: UUID
    squares: tuple[UUID, ...]
    holes: tuple[UUID, ...]


def epu_session(name: str = "visit", **values: Any) -> EpuSession:
    """Return the manifest of a session."""
    return EpuSession(**{"epu_id": f"epu-{name}", "name": name, "started_at": NOON, **values})


def session_message(
    manifest: EpuSession | None = None, *, at: datetime = NOON
) -> EpuSessionMessage:
    """Return the message that a session was read."""
    manifest = manifest or epu_session()
    return EpuSessionMessage(
        grid_uuid=ids.grid_uuid(manifest),
        path="/epu/EpuSession.dm",
        observed_at=at,
        manifest=manifest,
    )


def atlas_message(
    grid: UUID, squares: Iterable[int] = (1,), *, at: datetime = NOON, x: float = 10.0
) -> EpuAtlasMessage:
    """Return an atlas of one tile on which the squares lie."""
    return EpuAtlasMessage(
        grid_uuid=grid,
        path="/atlas/Atlas.dm",
        observed_at=at,
        manifest=AtlasManifest(
            epu_id="atlas",
            name="Sample1",
            acquired_at=NOON,
            tiles=(AtlasTile(tile_id="1", position=Point(x=x, y=0)),),
            squares=tuple(
                SquarePlacement(
                    square_id=square,
                    center=Point(x=x, y=square),
                    tiles=(TilePosition(tile_id="1", position=Point(x=x, y=square)),),
                )
                for square in squares
            ),
        ),
    )


def square_message(
    grid: UUID,
    square: int = 1,
    holes: Iterable[int] = (),
    *,
    bars: Collection[int] = (),
    at: datetime = NOON,
    **values: Any,
) -> EpuSquareMessage:
    """Return a square's file with the holes in it; those of `bars` lie near a grid bar."""
    return EpuSquareMessage(
        grid_uuid=grid,
        path=f"/epu/Metadata/GridSquare_{square}.dm",
        observed_at=at,
        manifest=SquareManifest(
            square_id=square,
            holes=tuple(HoleTarget(hole_id=hole, is_near_grid_bar=hole in bars) for hole in holes),
            **values,
        ),
    )


def image_message(
    grid: UUID,
    level: str = "micrograph",
    *,
    stem: str = "stem",
    square: int | None = 1,
    hole: int | None = None,
    at: datetime = NOON,
    acquired_at: datetime | None = NOON,
    **values: Any,
) -> EpuImageMessage:
    """Return the manifest of an image."""
    return EpuImageMessage(
        grid_uuid=grid,
        path=f"/epu/{stem}.xml",
        observed_at=at,
        name=ImageName(level=level, stem=stem, square_id=square, hole_id=hole),  # type: ignore[arg-type]
        manifest=ImageManifest(unique_id=f"id-{stem}", acquired_at=acquired_at, **values),
    )


def found(x: float) -> HoleCenter:
    """Return where a hole was found in its image."""
    return HoleCenter(center=Point(x=x, y=0), size=Extent(width=1, height=1), quality=0.5)


def stage(x: float) -> StagePosition:
    """Return a stage position."""
    return StagePosition(x=x, y=0, z=0)


def apply(database: Database, *messages: Any, now: datetime = NOON) -> Applied:
    """Apply EPU messages in a transaction of their own."""
    with database.transaction() as session:
        return apply_epu(session, messages, now=now)


def plant(
    database: Database,
    squares: Sequence[Sequence[int]] = ((11, 12, 13),),
    *,
    name: str | None = None,
    bars: Collection[int] = (),
) -> Site:
    """Make a grid whose squares 1, 2, … have the holes given; return their uuids."""
    manifest = epu_session(name or f"visit-{uuid4()}", squares=(SquareReference(square_id=1),))
    grid = ids.grid_uuid(manifest)
    apply(
        database,
        session_message(manifest),
        *(
            square_message(grid, number, holes, bars=bars)
            for number, holes in enumerate(squares, start=1)
        ),
    )
    return Site(
        grid,
        tuple(ids.square_uuid(grid, number) for number in range(1, len(squares) + 1)),
        tuple(ids.hole_uuid(grid, hole) for holes in squares for hole in holes),
    )


# Predictions --------------------------------------------------------------------------------


def hole_body(hole: UUID, value: float, model: str = "model", **values: Any) -> dict[str, Any]:
    """Return a prediction for a hole as it comes in."""
    return {
        "event_type": "foilhole.model_prediction",
        "foilhole_uuid": str(hole),
        "prediction_model_name": model,
        "prediction_value": value,
        **values,
    }


def square_body(square: UUID, value: float, model: str = "model", **values: Any) -> dict[str, Any]:
    """Return a prediction for a square as it comes in."""
    return {
        "event_type": "gridsquare.model_prediction",
        "gridsquare_uuid": str(square),
        "prediction_model_name": model,
        "prediction_value": value,
        **values,
    }


def multi_body(
    holes: Sequence[UUID], value: float, model: str = "model", **values: Any
) -> dict[str, Any]:
    """Return one predicted value for many holes as it comes in."""
    return {
        "event_type": "foilhole.model_multi_prediction",
        "foilhole_uuids": [str(hole) for hole in holes],
        "prediction_model_name": model,
        "prediction_value": value,
        **values,
    }


def arrive(session: Session, *bodies: dict[str, Any], now: datetime = NOON) -> list[Item]:
    """Store prediction messages; return them as a run would have claimed them."""
    messages = [
        new_message("predictions", flow="ingest-predictions", payload=body) for body in bodies
    ]
    stored = inbox.store(session, messages, now=now)
    found_rows = {
        row.id: row
        for row in take(
            session,
            flow="ingest-predictions",
            key="predictions",
            now=after(1_000_000),
            limit=10_000,
        )
    }
    items: list[Item] = []
    for one, body in zip(stored, bodies, strict=True):
        message = parse(body)
        assert isinstance(message, Prediction)
        items.append((found_rows[one.id], message))
    return items
