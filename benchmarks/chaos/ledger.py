"""The weights, the scores and what rests on them, as Athanor's tables have them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from benchmarks.chaos.weights import Account, Ground

Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A model's row in the history of weights."""

    weight: float
    #: What it had predicted; None where it had not.
    prediction: float | None


@dataclass
class Step:
    """What one measurement did to the weights of a grid and metric."""

    #: Message → its rows; more than one message is one too many.
    entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    qualities: set[float] = field(default_factory=set)
    micrographs: set[UUID] = field(default_factory=set)


@dataclass(frozen=True)
class Score:
    """What the last refresh said of a hole."""

    score: float
    #: From 1; None for a hole that is not to be collected.
    place: int | None


@dataclass
class Ledger:
    """What is kept of weights, scores and what they brought about."""

    #: By ground and number.
    steps: dict[Ground, dict[int, Step]] = field(default_factory=dict)
    #: By ground and number of the step before them: weights that no measurement brought about.
    notes: dict[Ground, dict[int, dict[str, float]]] = field(default_factory=dict)
    weights: dict[Ground, dict[str, float]] = field(default_factory=dict)
    statistics: dict[Ground, Account] = field(default_factory=dict)
    #: (message, name) → quality.
    qualities: dict[tuple[str, str], float | None] = field(default_factory=dict)
    #: Hole → its score.
    scores: dict[UUID, Score] = field(default_factory=dict)
    #: (event type, micrograph, is good) → how many messages were published.
    registered: Counter[tuple[str, UUID, bool]] = field(default_factory=Counter)
    #: Measured values that Athena was told, by our id, as often as it has them.
    values: Counter[UUID] = field(default_factory=Counter)
    #: Id of each measured value that was to be told → its state.
    sent_values: dict[UUID, str] = field(default_factory=dict)


def read_ledger(database: psycopg.Connection[Row]) -> Ledger:
    """Read all of it but what Athena has."""
    ledger = Ledger()
    for row in database.execute("SELECT * FROM model_weight"):
        ground = row["grid_uuid"], row["metric_name"]
        ledger.weights.setdefault(ground, {})[row["model_name"]] = row["weight"]
    for row in database.execute("SELECT * FROM metric_statistics"):
        ground = row["grid_uuid"], row["metric_name"]
        ledger.statistics[ground] = Account(row["count"], row["mean"], row["m2"])
    for row in database.execute(
        "SELECT h.*, m.message_id FROM model_weight_history h "
        "LEFT JOIN inbox_message m ON m.seq = h.message_seq"
    ):
        _enter(ledger, row)
    for row in database.execute(
        "SELECT m.message_id, t.name, t.quality FROM measurement t "
        "JOIN inbox_message m ON m.id = t.message_uuid WHERE t.metric_name IS NOT NULL"
    ):
        ledger.qualities[row["message_id"], row["name"]] = row["quality"]
    for row in database.execute(
        "SELECT hole_uuid, score, suggested_acquisition_index AS place FROM hole_score"
    ):
        ledger.scores[row["hole_uuid"]] = Score(row["score"], row["place"])
    for row in database.execute(
        "SELECT id, kind, state, subject, payload FROM outbox_message "
        "WHERE kind IN ('athena.value', 'rabbitmq.message')"
    ):
        if row["kind"] == "athena.value":
            ledger.sent_values[row["id"]] = row["state"]
        elif row["state"] == "done" and "metric_name" in row["payload"]:
            said = row["payload"]
            key = row["subject"], UUID(said["micrograph_uuid"]), said["quality"]
            ledger.registered[key] += 1
    return ledger


def _enter(ledger: Ledger, row: Mapping[str, Any]) -> None:
    ground, number, model = (row["grid_uuid"], row["metric_name"]), row["step"], row["model_name"]
    if row["message_seq"] < 0:
        ledger.notes.setdefault(ground, {}).setdefault(number, {})[model] = row["weight"]
        return
    step = ledger.steps.setdefault(ground, {}).setdefault(number, Step())
    entry = Entry(row["weight"], row["prediction"])
    step.entries.setdefault(str(row["message_id"]), {})[model] = entry
    step.qualities.add(row["quality"])
    step.micrographs.add(row["micrograph_uuid"])
