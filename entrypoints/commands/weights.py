"""`athanor weights …`: how much each model's word counts."""

import asyncio
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from pydantic import BaseModel

from core.logging import configure
from core.settings import Settings
from entrypoints import showing
from entrypoints.commands.models import GridUuid, RandomRange, Seed, checked_range
from entrypoints.showing import AsJson, Cursor, Limit

if TYPE_CHECKING:
    from models.cryoem.queries.models import WeightsDetail
    from models.database import Database

app = typer.Typer(help="Look at the weights of models, and set some.", no_args_is_help=True)

Metric = Annotated[str | None, typer.Option(help="The quality metric. Default: all of them.")]


class Supposed(BaseModel):
    """What `athanor weights random-updates --json` prints."""

    grid_uuid: UUID
    metric: str
    micrographs: int
    good: int
    changed: bool
    dry_run: bool
    runs_asked_for: bool = False


@app.command("list")
def list_(grid_uuid: GridUuid = None, as_json: AsJson = False) -> None:
    """List the weights in force on a grid, and what models begin with.

    The weights of one grid and metric sum to 1.

    Example:
      athanor weights list
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (`athanor --help` shall be fast)

    with opened_database(Settings()) as database:
        found = _weights(database, grid_uuid)
    _show(found, as_json=as_json)


def _weights(database: "Database", grid_uuid: UUID | None) -> "WeightsDetail":
    from core.errors import NotFound  # noqa: PLC0415 (as above)
    from models.cryoem.queries.models import get_weights  # noqa: PLC0415 (as above)
    from models.cryoem.queries.naming import find_session  # noqa: PLC0415 (as above)

    with database.reading() as session:
        try:
            grid = find_session(session, grid_uuid)
        except NotFound:
            if grid_uuid is not None:
                raise
            grid = None
        return get_weights(session, grid)


def _show(found: "WeightsDetail", *, as_json: bool) -> None:
    if as_json:
        showing.print_json(found)
        return
    if found.grid_uuid is not None:
        showing.print_table(
            f"Weights on grid {found.grid_uuid}",
            ("metric", "model", "weight#", "changed"),
            ((one.metric, one.model, one.weight, one.updated_at) for one in found.in_force),
            empty=f"No model has predicted anything for grid {found.grid_uuid} yet.",
        )
    showing.print_table(
        "What models begin with on each grid",
        ("model", "metric", "weight#"),
        ((one.model, one.metric or "every metric", one.weight) for one in found.initial),
        empty="No initial weights: models that begin together begin with equal shares.",
    )


@app.command()
def init(
    model: Annotated[str, typer.Argument(metavar="NAME", help="A model that is known.")],
    weight: Annotated[float, typer.Argument(min=0, help="Beside the weights of the others.")],
    grid_uuid: Annotated[
        UUID | None,
        typer.Option(
            "--grid-uuid", "--grid", help="Set it on this grid now. Default: for grids to come."
        ),
    ] = None,
    metric: Metric = None,
    as_json: AsJson = False,
) -> None:
    """Set what a model begins with on each grid; or, with --grid-uuid, its weight there now.

    Weights count beside one another: on a grid they are scaled so that those of a metric sum
    to 1, and the other models keep their proportions. What is set on a grid is in its history.

    Examples:
      athanor weights init holes-net 2

      athanor weights init holes-net 0.5 --metric ctfmaxresolution \
--grid-uuid 0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11
    """
    from core.clock import utcnow  # noqa: PLC0415 (as above)
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem import model_registry, weights  # noqa: PLC0415 (as above)
    from models.cryoem.queries.naming import find_session  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database:
        with database.transaction() as session:
            if grid_uuid is None:
                model_registry.begin_with(session, model, weight, metric=metric)
            else:
                model_registry.known_model(session, model)
                grid = find_session(session, grid_uuid)
                for name in model_registry.known_metrics(session, metric):
                    weights.put(session, grid, name, {model: weight}, now=utcnow())
        found = _weights(database, grid_uuid)
    _show(found, as_json=as_json)


@app.command()
def history(
    grid_uuid: GridUuid = None,
    metric: Metric = None,
    model: Annotated[str | None, typer.Option(help="Only of this model.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List how weights on a grid changed, the latest first, and why.

    Each measurement leaves a row for each model: what the model had predicted, how good the
    micrograph was, and the weight afterwards. A row without a quality was set, or begun with.

    Example:
      athanor weights history --metric ctfmaxresolution --model holes-net
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)
    from models.cryoem.model_registry import known_metrics  # noqa: PLC0415 (as above)
    from models.cryoem.queries.models import list_history  # noqa: PLC0415 (as above)
    from models.cryoem.queries.naming import find_session  # noqa: PLC0415 (as above)

    with opened_database(Settings()) as database, database.reading() as session:
        known_metrics(session, metric)
        grid = find_session(session, grid_uuid)
        page = list_history(session, grid, metric=metric, model=model, limit=limit, cursor=cursor)
    if as_json:
        showing.print_json(page)
        return
    showing.print_table(
        f"Weights on grid {grid}, the latest first",
        ("changed", "metric", "model", "predicted#", "quality#", "weight#", "micrograph"),
        (
            (
                one.changed_at,
                one.metric,
                one.model,
                one.prediction,
                one.quality,
                one.weight,
                one.micrograph_uuid,
            )
            for one in page.items
        ),
        empty="No weights have changed yet.",
    )
    showing.print_more("athanor weights history …", page.next_cursor)


@app.command()
def random_updates(
    grid_uuid: GridUuid = None,
    random_range: RandomRange = (0.0, 1.0),
    metric: Annotated[
        str, typer.Option(help="The quality metric whose weights change.")
    ] = "motioncorrection",
    seed: Seed = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many it would be.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Update weights as if each micrograph of a grid had turned out good or bad by chance.

    A number is drawn for each micrograph from --random-range: below 0.5 it counts as good
    (quality 1), else as bad (0), and the weights change as with a real measurement. No value
    is stored, but the weights are those that scores are made of: use a session that is no real
    one. --random-range 0 0.4 makes every micrograph good.

    Examples:
      athanor weights random-updates --dry-run

      athanor weights random-updates --metric ctfmaxresolution --seed 7
    """
    from entrypoints.reading import opened_database  # noqa: PLC0415 (as above)

    span = checked_range(random_range)
    settings = Settings()
    configure("WARNING", as_json=settings.log_json)
    with opened_database(settings) as database:
        outcome = _suppose(database, grid_uuid, metric, span, seed, dry_run=dry_run)
        if outcome.changed:
            outcome.runs_asked_for = asyncio.run(_ring(settings, database, outcome.grid_uuid))
    if as_json:
        showing.print_json(outcome)
        return
    what = "would count" if dry_run else "counted"
    typer.echo(
        f"{outcome.micrographs:,} micrographs of grid {outcome.grid_uuid} {what} for {metric}: "
        f"{outcome.good:,} as good, {outcome.micrographs - outcome.good:,} as bad."
    )
    if outcome.changed:
        showing.print_rung(asked=outcome.runs_asked_for)
    elif not dry_run:
        typer.echo("No weight changed: no model has predicted anything for them.")


def _suppose(
    database: "Database",
    grid_uuid: UUID | None,
    metric: str,
    span: tuple[float, float],
    seed: int | None,
    *,
    dry_run: bool,
) -> Supposed:
    from core.clock import utcnow  # noqa: PLC0415 (as above)
    from entrypoints.sending import random_of  # noqa: PLC0415 (as above)
    from models.cryoem.model_registry import known_metrics  # noqa: PLC0415 (as above)
    from models.cryoem.queries.naming import find_session  # noqa: PLC0415 (as above)
    from models.cryoem.supposed import micrographs, suppose  # noqa: PLC0415 (as above)

    chosen = random_of(seed)
    opened = database.reading() if dry_run else database.transaction()
    with opened as session:
        known_metrics(session, metric)
        grid = find_session(session, grid_uuid)
        # As SmartEM's command of this purpose draws them.
        qualities = [
            (one, float(chosen.uniform(*span) < 0.5)) for one in micrographs(session, grid)
        ]
        changed = not dry_run and suppose(session, grid, metric, qualities, now=utcnow())
    return Supposed(
        grid_uuid=grid,
        metric=metric,
        micrographs=len(qualities),
        good=sum(quality == 1 for _, quality in qualities),
        changed=changed,
        dry_run=dry_run,
    )


async def _ring(settings: Settings, database: "Database", grid: UUID) -> bool:
    from entrypoints.ringers import opened_ringer  # noqa: PLC0415 (Prefect takes seconds)

    async with opened_ringer(settings, database) as ringer:
        # Prefect reads its environment when it is first imported: the ringer has prepared it.
        from models.cryoem.intake import SCORES  # noqa: PLC0415
        from tasks.ringing import ring  # noqa: PLC0415

        await ring(ringer, [(SCORES, str(grid))])
        return ringer.launcher is not None
