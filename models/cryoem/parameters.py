"""What models learned about a grid: the latest value of each parameter."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlmodel import Session, col

from models import inbox
from models.cryoem import renamed
from models.cryoem.decision_tables import PredictionModel, QualityMetric
from models.cryoem.lookup import grids_of
from models.cryoem.messages import Entity
from models.cryoem.messages import ModelParameter as ParameterMessage
from models.cryoem.processing_tables import ModelParameter
from models.inbox import Missing, Received
from models.sql import insert_ignore, insert_or_replace

ParameterItem = tuple[Received, ParameterMessage]
#: Groups of parameters about a square or hole: named by the group itself, or by its keys.
COORDINATES: Final = "coordinates:"
CLUSTERS: Final = "cluster_indices"
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KEY = ("grid_uuid", "model_name", "metric_name", "parameter_group", "key")


def apply(session: Session, items: Sequence[ParameterItem]) -> tuple[list[Received], list[Missing]]:
    """Store parameters, the latest to come in; return what is done and what must wait."""
    grids, metrics = _look(session, items)
    if any(_missing(message, one, grids, metrics) for message, one in items):
        inbox.before_waiting(session)
        grids, metrics = _look(session, items)
    names = _names(session, [one for _, one in items])
    done: list[Received] = []
    waiting: list[Missing] = []
    latest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for message, one in sorted(items, key=lambda item: item[0].seq):
        missing = _missing(message, one, grids, metrics)
        if missing is not None:
            waiting.append(missing)
            continue
        done.append(message)
        row = _row(message, one, names)
        latest[tuple(row[name] for name in _KEY)] = row
    rows = list(latest.values())
    models = {
        row["model_name"]: {"name": row["model_name"], "first_seen_at": row["updated_at"]}
        for row in reversed(rows)
    }
    insert_ignore(session, PredictionModel, list(models.values()), unique=["name"])
    insert_or_replace(session, ModelParameter, rows, unique=list(_KEY), unless_newer="message_seq")
    return done, waiting


def _look(session: Session, items: Sequence[ParameterItem]) -> tuple[set[UUID], set[str]]:
    grids = grids_of(session, {Entity.GRID: {one.grid_uuid for _, one in items}})
    return set(grids), set(session.scalars(select(col(QualityMetric.name))))


def _missing(
    message: Received, one: ParameterMessage, grids: set[UUID], metrics: set[str]
) -> Missing | None:
    if one.grid_uuid not in grids:
        return Missing(message, "grid", str(one.grid_uuid))
    if one.metric is not None and one.metric not in metrics:
        return Missing(message, "metric", one.metric)
    return None


def _names(session: Session, said: Sequence[ParameterMessage]) -> dict[str, str]:
    """Return the texts that name squares and holes otherwise → those of the rows' own uuids."""
    texts = {
        one.group.removeprefix(COORDINATES) for one in said if one.group.startswith(COORDINATES)
    }
    texts |= {one.key for one in said if one.group == CLUSTERS}
    uuids = {text: UUID(text) for text in texts if _UUID.fullmatch(text)}
    names = renamed.targets(session, uuids.values())
    return {text: str(names[uuid]) for text, uuid in uuids.items() if uuid in names}


def _row(message: Received, one: ParameterMessage, names: Mapping[str, str]) -> dict[str, Any]:
    group, key = one.group, one.key
    if group.startswith(COORDINATES):
        about = group.removeprefix(COORDINATES)
        group = COORDINATES + names.get(about, about)
    elif group == CLUSTERS:
        key = names.get(key, key)
    return {
        "grid_uuid": one.grid_uuid,
        "model_name": one.prediction_model_name,
        "metric_name": one.metric or "",
        "parameter_group": group,
        "key": key,
        "value": float(one.value),
        "message_seq": message.seq,
        "message_uuid": message.id,
        "updated_at": message.received_at,
    }
