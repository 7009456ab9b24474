"""What retention did or would do, and what there is: as people and programs read it."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from domains.retention import Operation, PolicyName
from models.paging import View


class AgedRows(View):
    """What became of the old rows of a table."""

    table: str = Field(description="The table.")
    what: str = Field(description="Which of its rows, and what becomes of them.")
    before: datetime = Field(description="Rows older than this moment.")
    rows: int = Field(description="How many.")


class RemovedSession(View):
    """A session that is deleted as a whole."""

    grid_uuid: UUID = Field(description="The session's grid.")
    name: str = Field(description="What EPU called it.")
    over_since: datetime = Field(description="When it was last heard of.")
    rows: dict[str, int] = Field(description="How many rows of each table.")
    archive: str | None = Field(default=None, description="File that holds all of it.")


class RetentionReport(View):
    """What one run did, or with `dry_run` would do."""

    operation: Operation = Field(description="What was asked for.")
    policy: PolicyName = Field(description="By which ages.")
    dry_run: bool = Field(description="Whether nothing was changed.")
    at: datetime = Field(description="The moment from which ages are counted.")
    aged: list[AgedRows] = Field(description="Tables whose old rows go, one rule each.")
    sessions: list[RemovedSession] = Field(description="Sessions that go.")
    held: int = Field(description="Sessions that would go if nobody held them.")
    runs: int | None = Field(
        default=None,
        description="Prefect's flow runs that go; null where its server did not answer.",
    )
    tables: dict[str, int] = Field(description="Rows by table, of all of the above.")


class TableSize(View):
    """How much a table holds."""

    table: str = Field(description="The table.")
    rows: int = Field(description="How many rows.")
    bytes: int | None = Field(description="On disk with its indexes; null where nobody knows.")


class RetentionStats(View):
    """What there is, and what the next run would do."""

    at: datetime = Field(description="When this was counted.")
    sizes: list[TableSize] = Field(description="All tables, the largest first.")
    database_bytes: int | None = Field(description="The whole database.")
    runs: int | None = Field(
        default=None, description="Flow runs of Prefect's; null where its server did not answer."
    )
    due: RetentionReport = Field(description="What a cleanup would do now.")
