"""`athanor models …`: the models that predict."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from pydantic import BaseModel

from core.logging import configure
from core.settings import Settings
from entrypoints import showing
from entrypoints.showing import AsJson

if TYPE_CHECKING:
    from models.cryoem.messages import HolePrediction, SquarePrediction
    from models.cryoem.model_registry import ModelLevel
    from models.cryoem.queries.models import ModelDetail
    from models.database import Database

app = typer.Typer(help="Look at the models that predict, and try some out.", no_args_is_help=True)

#: Who sends random predictions, as `athanor messages list --source` finds them.
SOURCE = "random-predictions"
#: Messages that are stored at once.
_BATCH = 5_000

Name = Annotated[str, typer.Argument(metavar="NAME", help="As the model's messages say it.")]
GridUuid = Annotated[
    UUID | None,
    typer.Option(
        "--grid-uuid", "--grid", help="The grid. Default: that of the session started last."
    ),
]
RandomRange = Annotated[
    tuple[float, float],
    typer.Option("--random-range", metavar="A B", help="Values are between these two, 0 to 1."),
]
Seed = Annotated[int | None, typer.Option(help="Of everything random. Default: another each time.")]


class Level(StrEnum):
    """What a model predicts for."""

    HOLE = "hole"
    SQUARE = "square"
    GROUP = "group"

    def stored(self) -> "ModelLevel":
        """Return it as the tables have it."""
        from models.cryoem.model_registry import ModelLevel  # noqa: PLC0415 (as below)

        return ModelLevel[self.name]


class Guessed(BaseModel):
    """What `athanor models random-predictions --json` prints."""

    model: str
    grid_uuid: UUID
    level: str
    predictions: int
    dry_run: bool
    runs_asked_for: bool = False


def checked_range(span: tuple[float, float]) -> tuple[float, float]:
    """Return the range, or say what is wrong with it."""
    low, high = span
    if not 0 <= low <= high <= 1:
        raise typer.BadParameter(
            "two numbers from 0 to 1, the smaller first.", param_hint="--random-range"
        )
    return span


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the models: those that were registered, and those that have predicted.

    Example:
      athanor models list
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)
    from models.cryoem.queries.models import list_models  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        found = list_models(session)
    if as_json:
        showing.print_json(found)
        return
    showing.print_table(
        "Models",
        ("name", "predicts for", "initial weight", "known since", "description"),
        (
            (
                one.name,
                one.level,
                ", ".join(
                    f"{each.weight:.4g}" + (f" ({each.metric})" if each.metric else "")
                    for each in one.initial_weights
                ),
                one.first_seen_at,
                one.description,
            )
            for one in found.items
        ),
        empty="No models yet. `athanor models register NAME DESCRIPTION` makes one known, and so "
        "does its first prediction.",
    )


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one model: what is said of it, and the weights that it has.

    Example:
      athanor models show holes-net
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem.queries.models import get_model  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        found = get_model(session, name)
    _show(found, as_json=as_json)


def _show(found: "ModelDetail", *, as_json: bool) -> None:
    if as_json:
        showing.print_json(found)
        return
    showing.print_fields(
        f"Model {found.name}",
        (
            ("description", found.description),
            ("predicts for", found.level),
            ("known since", found.first_seen_at),
            *(
                (f"begins with ({one.metric or 'every metric'})", one.weight)
                for one in found.initial_weights
            ),
        ),
    )
    showing.print_table(
        "Weights, the latest changed first",
        ("grid uuid", "metric", "weight#", "changed"),
        ((one.grid_uuid, one.metric, one.weight, one.updated_at) for one in found.weights),
        empty="It has no weight on any grid yet: the first measurement gives it one.",
    )


@app.command()
def register(
    name: Name,
    description: Annotated[str, typer.Argument(help="What people should know of it.")],
    level: Annotated[Level | None, typer.Option(help="What it predicts for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a model known before its first prediction.

    A model that is not registered becomes known by its first prediction. What a model begins
    with on each grid is set by `athanor weights init`.

    Example:
      athanor models register holes-net "Ice thickness from hole images" --level hole
    """
    from core.clock import utcnow  # noqa: PLC0415 (as above)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem.model_registry import Known  # noqa: PLC0415 (as above)
    from models.cryoem.model_registry import register as make_known  # noqa: PLC0415 (as above)
    from models.cryoem.queries.models import get_model  # noqa: PLC0415 (as above)

    model = Known(name, description, level.stored() if level else None)
    with opened_database(Settings()) as database:
        with database.transaction() as session:
            make_known(session, model, now=utcnow())
        with database.reading() as session:
            found = get_model(session, name)
    _show(found, as_json=as_json)


@app.command()
def describe(
    name: Name,
    description: Annotated[
        str | None, typer.Option(help="What people should know of it from now on.")
    ] = None,
    level: Annotated[Level | None, typer.Option(help="What it predicts for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change what is said of a model.

    Example:
      athanor models describe holes-net --description "Version 2: trained on gold grids"
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem import model_registry  # noqa: PLC0415 (as above)
    from models.cryoem.queries.models import get_model  # noqa: PLC0415 (as above)

    if description is None and level is None:
        raise typer.BadParameter("Give what to change.", param_hint="--description / --level")
    with opened_database(Settings()) as database:
        with database.transaction() as session:
            model_registry.describe(
                session,
                name,
                description=description,
                level=level.stored() if level else None,
            )
        with database.reading() as session:
            found = get_model(session, name)
    _show(found, as_json=as_json)


@app.command()
def random_predictions(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model that is known.")],
    grid_uuid: GridUuid = None,
    random_range: RandomRange = (0.0, 1.0),
    level: Annotated[Level, typer.Option(help="Predict for all holes, or all squares.")] = (
        Level.HOLE
    ),
    seed: Seed = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many it would be.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Predict random values for all holes or squares of a grid, as if a model had.

    They come in like any message: they have a history and lead to decisions, so try this on a
    session that is no real one. The same seed makes the same messages, which are then repeats.

    Examples:
      athanor models random-predictions holes-net --dry-run

      athanor models random-predictions holes-net --random-range 0.6 1 --seed 7
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)

    span = checked_range(random_range)
    if level is Level.GROUP:
        raise typer.BadParameter("hole or square.", param_hint="--level")
    settings = Settings()
    configure("WARNING", as_json=settings.log_json)
    with opened_database(settings) as database:
        grid, predictions = _guesses(database, model, grid_uuid, level, span, seed)
        rung = False
        if predictions and not dry_run:
            rung = asyncio.run(_store(settings, database, predictions))
    outcome = Guessed(
        model=model,
        grid_uuid=grid,
        level=level,
        predictions=len(predictions),
        dry_run=dry_run,
        runs_asked_for=rung,
    )
    if as_json:
        showing.print_json(outcome)
        return
    what = "would be predicted" if dry_run else "predicted"
    typer.echo(
        f"{len(predictions):,} {level}s of grid {grid} {what} by {model}, "
        f"{span[0]:g} to {span[1]:g}."
    )
    if predictions and not dry_run:
        showing.print_rung(asked=rung)


def _guesses(
    database: "Database",
    model: str,
    grid_uuid: UUID | None,
    level: Level,
    span: tuple[float, float],
    seed: int | None,
) -> tuple[UUID, "list[HolePrediction | SquarePrediction]"]:
    from sqlalchemy import select  # noqa: PLC0415 (as above)
    from sqlmodel import col  # noqa: PLC0415 (as above)

    from entrypoints.sending import random_of  # noqa: PLC0415 (as above)
    from models.cryoem import decision_tables  # noqa: PLC0415 (as above)
    from models.cryoem.model_registry import known_model  # noqa: PLC0415 (as above)
    from models.cryoem.queries.naming import find_session  # noqa: PLC0415 (as above)
    from models.cryoem.tables import Hole, Square  # noqa: PLC0415 (as above)
    from simulators.predictors.guesses import guesses  # noqa: PLC0415 (as above)

    with database.reading() as session:
        known_model(session, model)
        grid = find_session(session, grid_uuid)
        table, number = (
            (Square, Square.square_id) if level is Level.SQUARE else (Hole, Hole.hole_id)
        )
        targets = session.scalars(
            select(col(table.uuid))
            .where(col(table.grid_uuid) == grid, col(table.deleted_at).is_(None))
            .order_by(col(number))
        ).all()
    of_level = decision_tables.Level[level.name]
    return grid, list(guesses(model, grid, targets, of_level, span, random_of(seed)))


async def _store(
    settings: Settings,
    database: "Database",
    predictions: "Sequence[HolePrediction | SquarePrediction]",
) -> bool:
    from entrypoints.ringers import opened_ringer  # noqa: PLC0415 (Prefect takes seconds)

    async with opened_ringer(settings, database) as ringer:
        # Prefect reads its environment when it is first imported: the ringer has prepared it.
        from tasks.intake import accept  # noqa: PLC0415

        waiting = iter(predictions)
        while part := list(islice(waiting, _BATCH)):
            bodies = [one.model_dump(mode="json", exclude_none=True) for one in part]
            await accept(ringer, bodies, source=SOURCE)
        return ringer.launcher is not None
