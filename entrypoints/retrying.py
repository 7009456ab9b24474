"""Commands that try again what was given up: choose, say what would be, do it, show the outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import typer
from pydantic import BaseModel

from core.errors import ConfigurationError
from core.settings import Settings
from entrypoints import showing
from models.cryoem.states import MessageState

if TYPE_CHECKING:
    from sqlmodel import Session

    from entrypoints.ringers import Ringer
    from models.database import Database


class RetriedRow(BaseModel, from_attributes=True):
    """What became of one that was to be tried again."""

    id: UUID
    state: str
    reason: str | None


R = TypeVar("R", bound=RetriedRow)


class Retried(BaseModel, Generic[R]):
    """What such a command prints with --json."""

    would_retry: list[UUID] = []
    retried: list[R] = []
    not_retryable: list[UUID] = []
    runs_asked_for: bool = False


def ids_or_all(ids: Sequence[UUID] | None, *, everything: bool) -> None:
    """Refuse a command that is given neither ids nor --all, or both."""
    if bool(ids) == everything:
        raise typer.BadParameter("Give either ids or --all.", param_hint="ID / --all")


@dataclass(frozen=True)
class Retry(Generic[R]):
    """One kind of what is tried again, and what people are told of it."""

    row: type[R]
    #: Heading of each column of the table → the field of a row.
    columns: dict[str, str]
    title: str
    #: After the number of those that --dry-run found.
    would: str
    nothing: str
    #: Before the ids of those that are not tried again.
    missing: str
    #: Gives what tries again; called once Prefect's environment is prepared, which Prefect reads
    #: when it is first imported.
    load: Callable[[], "Callable[[Ringer, Sequence[UUID]], Awaitable[Sequence[Any]]]"]

    def run(
        self,
        ids: Sequence[UUID] | None,
        find_all: "Callable[[Session], list[UUID]]",
        *,
        dry_run: bool,
        as_json: bool,
    ) -> None:
        """Try those of the ids again, or all that are found; print what became of them.

        Raises:
            ConfigurationError: Some of the ids cannot be tried again.
        """
        from entrypoints.reading import opened_database  # noqa: PLC0415 (`--help` shall be fast)

        settings = Settings()
        with opened_database(settings) as database:
            wanted = list(ids or ())
            if not wanted:
                with database.reading() as session:
                    wanted = find_all(session)
            if dry_run:
                outcome = Retried[self.row](would_retry=wanted)
            elif wanted:
                outcome = asyncio.run(self._again(settings, database, wanted))
            else:
                outcome = Retried[self.row]()
        if as_json:
            showing.print_json(outcome)
        else:
            self._report(outcome)
        if outcome.not_retryable:
            raise ConfigurationError(self.missing + ", ".join(map(str, outcome.not_retryable)))

    async def _again(
        self, settings: Settings, database: "Database", ids: Sequence[UUID]
    ) -> Retried[R]:
        from entrypoints.ringers import opened_ringer  # noqa: PLC0415 (Prefect takes seconds)
        from models.sql import chunks  # noqa: PLC0415 (as above)

        rows: list[R] = []
        async with opened_ringer(settings, database) as ringer:
            again = self.load()
            for part in chunks(ids):
                rows += map(self.row.model_validate, await again(ringer, part))
            rung = ringer.launcher is not None
        done = {one.id for one in rows}
        return Retried[self.row](
            retried=rows,
            not_retryable=[one for one in dict.fromkeys(ids) if one not in done],
            runs_asked_for=rung,
        )

    def _report(self, outcome: Retried[R]) -> None:
        if outcome.would_retry:
            typer.echo("\n".join(str(one) for one in outcome.would_retry))
            typer.echo(f"{len(outcome.would_retry):,} {self.would}")
            return
        showing.print_table(
            self.title,
            tuple(self.columns),
            (
                tuple(getattr(one, name) for name in self.columns.values())
                for one in outcome.retried
            ),
            empty=self.nothing,
        )
        if not any(one.state == MessageState.PENDING for one in outcome.retried):
            return
        if outcome.runs_asked_for:
            typer.echo("Prefect was asked to work on them now.")
        else:
            typer.echo(
                "Prefect's server is not reachable: the sweep of `athanor up` works on them within "
                "30 s of its start."
            )
