"""The end state as it is: in Athanor's tables, and at Athena."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import httpx
import psycopg
from psycopg.rows import dict_row

from benchmarks.chaos.ledger import Ledger, read_ledger
from benchmarks.chaos.reference import Arrived, Parameter, Value

Row = dict[str, Any]
#: (grid, Athena's id) → area.
Areas = dict[tuple[UUID, int], UUID]
#: Decision → area → message.
Basis = dict[UUID, dict[UUID, str]]

#: The type of decisions on the order of collection.
ORDER = "acquisitionOrder"


@dataclass(frozen=True)
class Told:
    """A decision as Athena has it."""

    id: UUID
    area: UUID
    decision_type: str
    #: Area → whether it is to be collected.
    selected: dict[UUID, bool]
    #: Area → the message whose prediction decided it.
    basis: dict[UUID, str] = field(default_factory=dict)
    #: Of an order: the areas as they are listed, and the place that each has.
    order: tuple[UUID, ...] = ()
    places: tuple[int, ...] = ()


@dataclass
class Observed:
    """The end state."""

    #: Message id → states of its rows in the inbox; more than one row is one too many.
    states: dict[str, list[str]] = field(default_factory=dict)
    #: Message id → why it is dead.
    reasons: dict[str, str] = field(default_factory=dict)
    #: In order of storage, without the dead.
    arrived: list[Arrived] = field(default_factory=list)
    history: Counter[tuple[str, UUID, str, str, float]] = field(default_factory=Counter)
    current: dict[tuple[UUID, str, str], Value] = field(default_factory=dict)
    groups: dict[UUID, frozenset[UUID]] = field(default_factory=dict)
    measured: dict[tuple[UUID, str], Value] = field(default_factory=dict)
    #: (message, name, value) → how often.
    measurements: Counter[tuple[str, str, float]] = field(default_factory=Counter)
    parameters: dict[Parameter, float] = field(default_factory=dict)
    #: Outbox state of every decision made.
    outbox: dict[UUID, str] = field(default_factory=dict)
    #: In the order in which Athena was told.
    told: list[Told] = field(default_factory=list)
    areas_at_athena: int = 0
    ledger: Ledger = field(default_factory=Ledger)


#: What is still under way; each number must be 0 before anything is compared.
_UNDER_WAY = """
SELECT
  (SELECT count(*) FROM inbox_message WHERE state NOT IN ('done', 'dead')) AS inbox,
  (SELECT count(*) FROM outbox_message WHERE state IN ('pending', 'claimed')) AS outbox,
  (SELECT count(*) FROM square WHERE undecided_since IS NOT NULL) AS undecided,
  (SELECT count(*) FROM grid_plan WHERE refresh_wanted_at IS NOT NULL) AS refreshes
"""


def under_way(url: str) -> dict[str, int]:
    """Return how much is stored and not finished."""
    with _connected(url) as database:
        row = database.execute(_UNDER_WAY).fetchone()
        return cast("dict[str, int]", row)


def stored(url: str) -> int:
    """Return how many of the published messages are in the inbox."""
    with _connected(url) as database:
        row = database.execute(
            "SELECT count(DISTINCT message_id) AS number FROM inbox_message WHERE source LIKE %s",
            ("rabbitmq%",),
        ).fetchone()
        return cast("dict[str, int]", row)["number"]


def observe(url: str, athena_url: str, grids: list[UUID]) -> Observed:
    """Read everything."""
    seen = Observed()
    with _connected(url) as database:
        _inbox(database, seen)
        _predictions(database, seen)
        _processing(database, seen)
        _outbox(database, seen)
        areas = {
            (row["grid_uuid"], row["area_id"]): row["area_uuid"]
            for row in database.execute("SELECT grid_uuid, area_id, area_uuid FROM athena_area")
        }
        basis = _basis(database)
        seen.ledger = read_ledger(database)
    for grid in grids:
        _athena(athena_url, grid, areas, basis, seen)
    return seen


def _connected(url: str) -> psycopg.Connection[Row]:
    return psycopg.Connection[Row].connect(url, row_factory=cast("Any", dict_row), autocommit=True)


def _inbox(database: psycopg.Connection[Row], seen: Observed) -> None:
    for row in database.execute(
        "SELECT message_id, state, error, payload FROM inbox_message WHERE source LIKE %s "
        "ORDER BY seq",
        ("rabbitmq%",),
    ):
        ident = str(row["message_id"])
        seen.states.setdefault(ident, []).append(row["state"])
        if row["state"] == "dead":
            seen.reasons[ident] = row["error"] or ""
        else:
            seen.arrived.append(Arrived(ident, row["payload"]))


def _predictions(database: psycopg.Connection[Row], seen: Observed) -> None:
    for row in database.execute(
        "SELECT m.message_id, p.target_uuid, p.model_name, p.metric_name, p.value "
        "FROM prediction p JOIN inbox_message m ON m.id = p.message_uuid"
    ):
        metric = row["metric_name"] or ""
        seen.history[
            row["message_id"], row["target_uuid"], row["model_name"], metric, row["value"]
        ] += 1
    for row in database.execute(
        "SELECT c.target_uuid, c.model_name, c.metric_name, c.value, m.message_id "
        "FROM current_prediction c JOIN inbox_message m ON m.seq = c.message_seq"
    ):
        key = row["target_uuid"], row["model_name"], row["metric_name"]
        seen.current[key] = Value(row["message_id"], row["value"])


def _processing(database: psycopg.Connection[Row], seen: Observed) -> None:
    members: dict[UUID, set[UUID]] = {
        row["uuid"]: set() for row in database.execute("SELECT uuid FROM hole_group")
    }
    for row in database.execute("SELECT group_uuid, hole_uuid FROM hole_group_member"):
        members[row["group_uuid"]].add(row["hole_uuid"])
    seen.groups = {group: frozenset(holes) for group, holes in members.items()}
    for row in database.execute(
        "SELECT m.message_id, t.name, t.value FROM measurement t "
        "JOIN inbox_message m ON m.id = t.message_uuid"
    ):
        seen.measurements[row["message_id"], row["name"], row["value"]] += 1
    for row in database.execute(
        "SELECT t.micrograph_uuid, t.name, t.value, m.message_id FROM current_measurement t "
        "JOIN inbox_message m ON m.id = t.message_uuid"
    ):
        key = row["micrograph_uuid"], row["name"]
        seen.measured[key] = Value(row["message_id"], row["value"])
    for row in database.execute(
        "SELECT grid_uuid, model_name, metric_name, parameter_group, key, value "
        "FROM model_parameter"
    ):
        *key, value = row.values()
        seen.parameters[cast("Parameter", tuple(key))] = value


def _outbox(database: psycopg.Connection[Row], seen: Observed) -> None:
    rows = database.execute("SELECT id, state FROM outbox_message WHERE kind = 'athena.decision'")
    seen.outbox = {row["id"]: row["state"] for row in rows}


def _basis(database: psycopg.Connection[Row]) -> Basis:
    """Return decision → area → message."""
    named = {
        row["seq"]: row["message_id"]
        for row in database.execute("SELECT seq, message_id FROM inbox_message")
    }
    return {
        row["id"]: {UUID(area): str(named.get(seq)) for area, seq in row["basis"].items()}
        for row in database.execute("SELECT id, basis FROM decision")
    }


def _athena(url: str, grid: UUID, areas: Areas, basis: Basis, seen: Observed) -> None:
    with httpx.Client(base_url=f"{url}/api/v1/Session/{grid}", timeout=60) as athena:
        registered = athena.get("/Areas")
        seen.areas_at_athena += len(registered.json()) if registered.is_success else 0
        answer = athena.get("/Decisions")
        for one in answer.json() if answer.is_success else []:
            seen.told.append(_told(one, grid, areas, basis))
    answer = httpx.get(f"{url}/api/v1/NameValueStore/{grid}/Values", timeout=60)
    for one in answer.json() if answer.is_success else []:
        seen.ledger.values[UUID(json.loads(one["value"])["id"])] += 1


def _told(one: Row, grid: UUID, areas: Areas, basis: Basis) -> Told:
    area = areas[grid, one["areaId"]]
    value = one["decisionValue"]
    ident, kind = UUID(one["id"]), one["decisionType"]
    if kind == "gridSquareSelection":
        return Told(ident, area, kind, {area: value == "true"}, basis.get(ident, {}))
    listed = [(areas[grid, part["areaId"]], part["result"]) for part in json.loads(value)]
    if kind == ORDER:
        order, places = zip(*listed, strict=True) if listed else ((), ())
        return Told(ident, area, kind, {}, order=order, places=tuple(map(int, places)))
    selected = {hole: result == "true" for hole, result in listed}
    return Told(ident, area, kind, selected, basis.get(ident, {}))
