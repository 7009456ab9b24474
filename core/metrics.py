"""What is measured: every metric of every process, defined here and nowhere else.

Counters and histograms are counted where things happen, as lines are logged there: through the
names of this module. What *is* at a moment (depths, runs, files that wait) is asked for when
somebody looks, by collectors that are handed what they ask; their names stand here too.

Labels have few values, known beforehand: kinds, states, flows, operations, outcomes. Never ids.
Importing this only defines; nothing listens and nothing is measured by itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from core.histogram import BulkHistogram

#: All that is counted in this process; our own, so that no library's metrics mix in.
REGISTRY: Final = CollectorRegistry()

#: For a label's value that is not one of those known beforehand.
OTHER: Final = "other"

#: Seconds; fine where the goals lie (0.4, 1 and 2 s).
_SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
    *(1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


@dataclass(frozen=True)
class Family:
    """A metric that a collector gives when it is asked, not one that is counted up."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()

    def gauge(self) -> GaugeMetricFamily:
        """Return it without samples, to be filled."""
        return GaugeMetricFamily(self.name, self.documentation, labels=self.labels)


class Moment(Gauge):
    """A gauge that a process which never sets it does not show: 0 there would be a lie."""

    def set(self, value: float) -> None:
        """Set it, and show it from now on."""
        super().set(value)
        self._is_set = True

    def collect(self) -> Iterable[Metric]:
        """Return its value, if it has one."""
        return super().collect() if getattr(self, "_is_set", False) else ()


def _counter(name: str, documentation: str, *labels: str) -> Counter:
    return Counter(name, documentation, labels, registry=REGISTRY)


def _moment(name: str, documentation: str) -> Moment:
    return Moment(name, documentation, registry=REGISTRY)


def _histogram(
    name: str, documentation: str, *labels: str, buckets: Sequence[float] = _SECONDS
) -> Histogram:
    return Histogram(name, documentation, labels, buckets=buckets, registry=REGISTRY)


def _bulk(name: str, documentation: str, *labels: str) -> BulkHistogram:
    return BulkHistogram(name, documentation, labels, buckets=_SECONDS, registry=REGISTRY)


# Every process

BUILD_INFO = Family("athanor_build_info", "1; the version that runs.", ("version",))

# Queues: asked of the database by the API

INBOX_MESSAGES = Family(
    "athanor_inbox_messages", "Messages in the inbox that are not done.", ("kind", "state")
)
INBOX_OLDEST = Family(
    "athanor_inbox_oldest_age_seconds",
    "Age of the oldest message that is not done.",
    ("kind", "state"),
)
OUTBOX_MESSAGES = Family(
    "athanor_outbox_messages", "Rows in the outbox that are not sent.", ("kind", "state")
)
OUTBOX_OLDEST = Family(
    "athanor_outbox_oldest_age_seconds",
    "Age of the oldest row that is not sent.",
    ("kind", "state"),
)
DATABASE_UP = Family("athanor_database_up", "1 when the database answered within 3 s, else 0.")

# Taking messages in

MESSAGES_RECEIVED = _counter(
    "athanor_messages_received_total",
    "Messages that came in: stored, repeated (known already), dead (stored as such), refused.",
    *("kind", "outcome"),
)
STORE_BATCH = _histogram(
    "athanor_store_batch_messages", "Messages stored in one transaction.", buckets=_SIZES
)
STORE_SECONDS = _histogram(
    "athanor_store_seconds", "From a batch of messages validated to it being committed."
)

# Working on them

BATCH_MESSAGES = _histogram(
    "athanor_batch_messages",
    "Rows of inbox or outbox worked on together.",
    "flow",
    buckets=_SIZES,
)
MESSAGES_HANDLED = _counter(
    "athanor_messages_handled_total",
    "Messages worked on: done, waiting, dead.",
    *("flow", "outcome"),
)
STAGE_SECONDS = _bulk(
    "athanor_stage_seconds",
    "Since the stage before: stored → claimed → committed; in the outbox → sent → accepted.",
    *("flow", "stage"),
)
RETRIES = _counter(
    "athanor_retries_total",
    "Second and later tries: of messages, decisions, database transactions.",
    "operation",
)
DEAD_LETTERS = _counter(
    "athanor_dead_letters_total",
    "What was given up: malformed, failed, exhausted, refused by Athena.",
    *("flow", "reason"),
)
DRAINS = Gauge(
    "athanor_drains",
    "Keys (grids) that this process is at work on.",
    ["flow"],
    registry=REGISTRY,
)

# Decisions and Athena

DECISIONS = _counter(
    "athanor_decisions_total",
    "Decisions that left the outbox: sent, found (Athena had it), refused; or were given back.",
    *("kind", "outcome"),
)
DECISION_SECONDS = _bulk(
    "athanor_decision_seconds",
    "From the oldest message behind a decision being stored to Athena having the decision.",
    "kind",
)
ATHENA_SECONDS = _histogram(
    "athanor_athena_request_seconds",
    "Requests to Athena, by how they ended.",
    *("operation", "outcome"),
)

# Agents and pages

AGENT_STREAMS = Gauge(
    "athanor_agent_streams", "Streams of agents that this process serves.", registry=REGISTRY
)
PAGE_STREAMS = Gauge(
    "athanor_page_streams", "Live streams of pages that this process serves.", registry=REGISTRY
)
STREAMS_REFUSED = _counter(
    "athanor_streams_refused_total", "Streams refused as too many: agent, page.", "kind"
)
AGENTS_CONNECTED = Family(
    "athanor_agents_connected", "Sessions whose agent has a stream open, of all API processes."
)
AGENTS_OFFLINE = _counter(
    "athanor_agents_offline_total", "Agents that went offline while their session went on."
)
INSTRUCTIONS_OPEN = Family(
    "athanor_instructions_open",
    "Instructions that are not over: held, pending, sent, received.",
    ("state",),
)
INSTRUCTIONS = _counter(
    "athanor_instructions_total",
    "Instructions that became: pending, held, sent, received, processed, failed, declined, "
    "expired, cancelled.",
    "state",
)
INSTRUCTION_RESENDS = _counter(
    "athanor_instruction_resends_total", "Instructions sent again for want of acknowledgement."
)
INSTRUCTION_SECONDS = _bulk(
    "athanor_instruction_seconds",
    "From an instruction being made or approved to its bytes having left.",
    "priority",
)

# Runs and Prefect

LAUNCHES = _counter(
    "athanor_launches_total",
    "Rings: launched (a run), joined (one is at work or asked for), failed.",
    *("flow", "outcome"),
)
PREFECT_ERRORS = _counter(
    "athanor_prefect_errors_total", "What Prefect's server did not do.", "operation"
)
WORKER_RUNS = Family("athanor_worker_runs", "Flow runs that this worker executes.")
WORKER_PLACES = Family("athanor_worker_runs_max", "Flow runs that this worker may execute at once.")
RUNS = _counter(
    "athanor_runs_total",
    "Flow runs executed: completed, failed, crashed, cancelled, given_back (another goes on).",
    *("flow", "outcome"),
)
WORKER_CONNECTED = Family(
    "athanor_worker_connected", "1 when this worker reaches Prefect's server, else 0."
)
WORKER_POLLED = Family(
    "athanor_worker_last_poll_timestamp_seconds", "When this worker last asked Prefect for runs."
)

# RabbitMQ

RABBITMQ_DELIVERED = _counter(
    "athanor_rabbitmq_delivered_total", "Messages taken from the queue, in batches."
)
RABBITMQ_REDELIVERED = _counter(
    "athanor_rabbitmq_redelivered_total", "Messages taken that had been delivered before."
)
RABBITMQ_ACKNOWLEDGED = _counter(
    "athanor_rabbitmq_acknowledged_total", "Messages acknowledged: stored, or set aside."
)
RABBITMQ_SET_ASIDE = _counter(
    "athanor_rabbitmq_set_aside_total", "Messages copied to the dead-letter queue."
)
RABBITMQ_UNACKNOWLEDGED = _moment(
    "athanor_rabbitmq_unacknowledged_messages", "Messages delivered and not acknowledged yet."
)
RABBITMQ_PREFETCH = _moment(
    "athanor_rabbitmq_prefetch_messages", "Most unacknowledged messages that RabbitMQ allows."
)
RABBITMQ_CONNECTED = _moment(
    "athanor_rabbitmq_connected", "1 while the sensor takes messages from RabbitMQ, else 0."
)
RABBITMQ_CONNECTS = _counter(
    "athanor_rabbitmq_connects_total", "Attempts to connect: connected, failed.", "outcome"
)
RABBITMQ_PUBLISHED = _counter(
    "athanor_rabbitmq_published_total", "Messages of ours sent: confirmed, failed.", "outcome"
)

# Agent

AGENT_FILES = Family("athanor_agent_files", "EPU files: sent, waiting, failed.", ("state",))
AGENT_REPORTED = Family(
    "athanor_agent_reported_files", "EPU files sent, by what they are.", ("kind",)
)
AGENT_WAITING_AGE = Family(
    "athanor_agent_waiting_age_seconds", "For how long the file waits that waits longest."
)
AGENT_LAST_EVENT = Family(
    "athanor_agent_last_event_timestamp_seconds", "When files were last found new or changed."
)
AGENT_PAUSED = Family("athanor_agent_paused", "1 while reading pauses (a full spool), else 0.")
AGENT_SPOOL_MESSAGES = Family(
    "athanor_agent_spool_messages",
    "Messages on the instrument's disk: unsent, refused.",
    ("state",),
)
AGENT_SPOOL_BYTES = Family("athanor_agent_spool_bytes", "How much of that disk they take.")
AGENT_SPOOL_MAX_BYTES = Family(
    "athanor_agent_spool_max_bytes", "How much of that disk they may take."
)
AGENT_SPOOL_OLDEST = Family(
    "athanor_agent_spool_oldest_age_seconds", "For how long the oldest message there is unsent."
)
AGENT_SENDS = _counter(
    "athanor_agent_sends_total", "Batches posted to the API: accepted, refused, failed.", "outcome"
)
AGENT_INSTRUCTIONS = _counter(
    "athanor_agent_instructions_total",
    "Instructions that the agent acted on: processed, failed, declined.",
    "outcome",
)
AGENT_ANSWERED = _moment(
    "athanor_agent_last_answer_timestamp_seconds", "When the API last answered."
)
