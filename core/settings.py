"""The one settings tree: environment variables `ATHANOR_…`, every field described.

Only entry points build it (`Settings()`); everything else is handed what it needs.
Nested fields use a double underscore: `ATHANOR_ATHENA__URL`.
"""

from pathlib import Path
from typing import Literal

from platformdirs import user_data_path
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.access_settings import AccessSettings
from core.image_settings import ImageSettings
from core.instruction_settings import InstructionSettings, StreamSettings
from core.limit_settings import LimitSettings
from core.retention_settings import RetentionSettings
from core.section import Section as _Section


class ApiSettings(_Section):
    """Where our HTTP API listens."""

    host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    port: int = Field(default=8377, ge=1, le=65535, description="Port that the API listens on.")
    max_body_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="Largest request body accepted, in bytes."
    )
    max_batch: int = Field(
        default=5_000, ge=1, description="Most messages accepted in one POST /messages."
    )


class AthenaSettings(_Section):
    """The Athena Decision Service."""

    block: str = Field(
        default="default", description="Name of the AthenaDecisionService block to use."
    )
    url: str = Field(default="http://127.0.0.1:8378", description="Base URL, without /api/v1.")
    token: SecretStr | None = Field(
        default=None, description="Bearer token, when one is asked for."
    )
    verify_tls: bool = Field(default=True, description="Check the service's TLS certificate.")
    connect_timeout: float = Field(
        default=5.0, gt=0, description="Seconds to wait for a connection."
    )
    read_timeout: float = Field(default=30.0, gt=0, description="Seconds to wait for an answer.")
    bulk_size: int = Field(
        default=1_000, ge=1, le=1_000, description="Most areas or decisions in one request."
    )
    measured_values: bool = Field(
        default=True, description="Tell it the motion and CTF of each hole, as named values."
    )


class DecisionSettings(_Section):
    """How predictions become decisions (contract: Athena, defaults from there)."""

    threshold: float = Field(
        default=0.5, ge=0, le=1, description="Select when a prediction exceeds it."
    )
    plugin_type: str = Field(default="custom", description="Athena pluginType of our decisions.")
    decided_by: str = Field(
        default="smartem_ml_model", description="Athena decidedBy of our decisions."
    )
    settle_seconds: float = Field(
        default=0.5,
        ge=0,
        description="A square whose holes are only partly predicted is decided after this silence.",
    )
    ctf_cutoff: float = Field(
        default=6.0,
        gt=0,
        description="A micrograph is good when its CTF fits to this resolution or better, in Å.",
    )
    planner: Literal["classic", "adaptive"] = Field(
        default="classic",
        description="What orders the holes of sessions that `athanor sessions planner` set no "
        "other for.",
    )
    session_hours: float = Field(
        default=24.0,
        gt=0,
        description="How long a session is to take from its beginning, in hours: the `adaptive` "
        "planner takes the best for the time that is left.",
    )
    order_holes: int = Field(
        default=100,
        ge=1,
        le=1_000,
        description="How many holes, from the next on, Athena is told the order of.",
    )
    refresh_seconds: float = Field(
        default=10.0,
        ge=0,
        description="A grid's scores and order are made anew at most so often, in seconds.",
    )


class KnownModel(_Section):
    """A model that predicts, known before its first prediction."""

    name: str = Field(min_length=1, max_length=200, description="As its messages say it.")
    description: str | None = Field(default=None, description="What people say of it.")
    level: Literal["gridsquare", "foilhole", "foilholegroup"] | None = Field(
        default=None, description="What it predicts for."
    )
    weight: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="What it begins with on each grid."
    )


class ModelSettings(_Section):
    """The models that predict."""

    known: tuple[KnownModel, ...] = Field(
        default=(),
        description="Models that `athanor init` makes known, each as "
        '{"name": "…", "description": "…", "level": "foilhole", "weight": 1}.',
    )


class WorkerSettings(_Section):
    """The warm worker."""

    pool: str = Field(default="athanor", description="Prefect work pool that the worker serves.")
    max_runs: int = Field(default=20, ge=1, description="Flow runs executed at once by one worker.")
    poll_seconds: float = Field(
        default=2.0,
        gt=0,
        description="How often to ask Prefect for runs that no doorbell announced.",
    )
    run_seconds: float = Field(
        default=14_400.0, gt=0, description="A run that takes longer is ended as timed out."
    )
    stop_seconds: float = Field(
        default=5.0,
        ge=0,
        description="How long runs may go on when their worker is told to stop.",
    )
    lease_seconds: float = Field(
        default=30.0, gt=0, description="A claim that is not renewed for so long is taken over."
    )
    linger_seconds: float = Field(
        default=3.0, ge=0, description="How long a run waits for more messages before it ends."
    )
    batch_size: int = Field(default=1_000, ge=1, description="Most inbox messages handled at once.")
    max_attempts: int = Field(default=5, ge=1, description="A message failing so often is dead.")
    idle_close_hours: float = Field(
        default=12.0, gt=0, description="A session without news for so long is closed."
    )


class AgentSettings(_Section):
    """The agent that watches an EPU folder."""

    api_url: str = Field(
        default="http://127.0.0.1:8377", description="Athanor API that it reports to."
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="Key or token for that API, when it asks for one (`athanor keys add`).",
    )
    settle_seconds: float = Field(
        default=0.5, ge=0, description="A file unchanged for so long is taken as complete."
    )
    give_up_seconds: float = Field(
        default=30.0,
        gt=0,
        description="An unreadable file stable for so long is recorded as failed.",
    )
    rescan_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Seconds between scans for what the file system did not tell.",
    )
    max_file_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1024, description="Larger EPU files are refused."
    )
    path_map: tuple[str, ...] = Field(
        default=(), description="Windows prefix to local folder, each as 'Z:\\\\visit=/data/visit'."
    )
    polling: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Scan only, taking no news from the file system: always, never, or for "
        "network shares (auto).",
    )
    poll_seconds: float = Field(
        default=5.0, gt=0, description="Seconds between scans where there is no news."
    )
    spool_max_bytes: int = Field(
        default=1024**3,
        ge=1024**2,
        description="Reading pauses while so much waits on the agent's disk for the API.",
    )
    session_idle_hours: float = Field(
        default=6.0,
        ge=0,
        description="A session without new files for so long is reported as ended; 0 for never.",
    )
    session_end_marker: str = Field(
        default="",
        pattern=r"^[^/\\\x00]*$",
        description="Name of a file in a session's folder that says that the session has ended.",
    )
    name: str = Field(
        default="",
        max_length=200,
        description="Agent id under which it receives instructions; empty means this machine's "
        "name.",
    )
    instructions: Literal["off", "dry-run", "athena"] = Field(
        default="off",
        description="What it does with instructions: receive none, log what it would do, or "
        "see to it that Athena has the decisions behind them.",
    )
    instruction_seconds: float = Field(
        default=120.0, gt=0, description="An instruction that takes longer has failed."
    )

    @property
    def key(self) -> str | None:
        """What the API asks for, where it does."""
        return self.api_key.get_secret_value() if self.api_key is not None else None


class RabbitMqSettings(_Section):
    """The facility's RabbitMQ."""

    block: str = Field(default="default", description="Name of the RabbitMQ block to use.")
    url: SecretStr | None = Field(
        default=None,
        description="AMQP URL; set it, and `athanor up` runs a sensor and messages are published.",
    )
    queue: str = Field(
        default="smartem_backend", min_length=1, description="Queue that the sensor takes from."
    )
    queue_type: Literal["auto", "quorum", "existing"] = Field(
        default="auto",
        description="auto takes the queue as it is or makes a quorum queue; quorum insists on "
        "ours; existing makes none.",
    )
    exchange: str = Field(
        default="",
        description="Direct exchange to bind the queue to by its name; empty means none.",
    )
    publish_exchange: str = Field(
        default="athanor",
        description="Topic exchange for messages of ours; empty means to publish none.",
    )
    prefetch: int = Field(
        default=3_000, ge=1, le=65_535, description="Most messages held without acknowledgement."
    )
    batch_size: int = Field(default=1_000, ge=1, description="Most messages stored at once.")
    batch_ms: float = Field(
        default=50.0, ge=0, description="Milliseconds that a message waits for others."
    )
    max_body_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="Larger messages become dead letters, and their text is cut.",
    )
    delivery_limit: int = Field(
        default=100,
        ge=1,
        description="Deliveries without acknowledgement after which our queue sets one aside.",
    )

    @property
    def publishes(self) -> bool:
        """Whether messages of ours go to RabbitMQ."""
        return self.url is not None and self.publish_exchange != ""


class NotifySettings(_Section):
    """Whom to tell of dead messages and failed runs."""

    url: SecretStr | None = Field(
        default=None,
        description="Address that gets notifications, as a POST of JSON with a `text`.",
    )
    quiet_seconds: float = Field(
        default=300.0,
        ge=0,
        description="After a notification, what else happens is gathered for so long.",
    )


class PrefectSettings(_Section):
    """The Prefect server that `athanor up` runs when PREFECT_API_URL is not set."""

    host: str = Field(
        default="127.0.0.1", description="Address that the Prefect server listens on."
    )
    port: int = Field(
        default=4200, ge=1, le=65535, description="Port that the Prefect server listens on."
    )
    startup_timeout: float = Field(
        default=120.0, gt=0, description="Seconds to wait for its start."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Where it keeps its runs: postgresql://… for several workers; "
        "unset means SQLite in the home folder.",
    )


class MetricsSettings(_Section):
    """Where a process without the HTTP API shows its metrics."""

    host: str = Field(
        default="127.0.0.1", description="Address that worker, sensor and agent show metrics on."
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port for it; none shows none. The API shows its own at /metrics.",
    )


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="ATHANOR_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    home: Path = Field(
        default_factory=lambda: user_data_path("athanor", appauthor=False),
        description="Folder for everything that Athanor keeps.",
    )
    database_url: str = Field(
        default="", description="SQLAlchemy URL; empty means SQLite in the home folder."
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_json: bool = Field(default=False, description="Log JSON lines instead of text.")
    api: ApiSettings = ApiSettings()
    access: AccessSettings = AccessSettings()
    limits: LimitSettings = LimitSettings()
    athena: AthenaSettings = AthenaSettings()
    decisions: DecisionSettings = DecisionSettings()
    models: ModelSettings = ModelSettings()
    instructions: InstructionSettings = InstructionSettings()
    streams: StreamSettings = StreamSettings()
    worker: WorkerSettings = WorkerSettings()
    agent: AgentSettings = AgentSettings()
    rabbitmq: RabbitMqSettings = RabbitMqSettings()
    notify: NotifySettings = NotifySettings()
    prefect: PrefectSettings = PrefectSettings()
    retention: RetentionSettings = RetentionSettings()
    metrics: MetricsSettings = MetricsSettings()
    images: ImageSettings = ImageSettings()

    @property
    def resolved_database_url(self) -> str:
        """The database in use."""
        return self.database_url or f"sqlite:///{self.home / 'athanor.db'}"
