"""`athanor simulate messages …`: what models and image processing publish, simulated.

There is a command for each kind of message, made from the fields of its class.
"""

from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Annotated, Any, get_origin
from uuid import UUID

import typer
from typer.core import TyperCommand, TyperGroup

from entrypoints.sending import (
    Count,
    DryRun,
    Queue,
    Rate,
    Seed,
    Sending,
    Target,
    To,
    Url,
    random_of,
    send,
)
from entrypoints.showing import print_table

#: Fields that people know by a shorter name.
_SHORT = {"prediction_model_name": "model", "prediction_value": "value"}
#: Commands of the message simulator that users know → ours.
_KNOWN = {
    "motion-correction": "motion_correction.completed",
    "ctf-complete": "ctf.completed",
    "particle-picking": "particle_picking.completed",
    "particle-selection": "particle_selection.completed",
    "gridsquare-prediction": "gridsquare.model_prediction",
    "foilhole-prediction": "foilhole.model_prediction",
    "model-update": "grid.model_parameter_update",
}
Grid = Annotated[UUID | None, typer.Option("--grid-uuid", help="See `athanor sessions list`.")]


class _Messages(TyperGroup):
    """Makes the command for a kind of message when it is asked for."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the names, kinds of messages last."""
        from simulators.messages.kinds import KINDS  # noqa: PLC0415 (`athanor --help` shall be fast)

        return [*super().list_commands(ctx), *KINDS]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | TyperGroup | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a command; dots, dashes and underscores are the same."""
        from simulators.messages.kinds import KINDS  # noqa: PLC0415 (as above)

        found = super().get_command(ctx, cmd_name)
        if found is not None:
            return found  # pyright: ignore[reportReturnType] (typer's own types are private)
        wanted = _KNOWN.get(cmd_name, cmd_name)
        kinds = {_plain(kind): kind for kind in KINDS}
        kind = kinds.get(_plain(wanted))
        return None if kind is None else _command(kind)


app = typer.Typer(
    cls=_Messages,
    help="Send messages as models and image processing do, of every kind.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Send messages as models and image processing do, of every kind.

    There is a command for each kind of message; dots, dashes and underscores are the same in
    its name. What is not given is made up. Messages go to the queue that the sensor takes from.

    Examples:
      athanor simulate messages foilhole.model-prediction --grid-uuid UUID --foilhole-id 4601234
      --count 100 --value 0.8

      athanor simulate messages batch-simulation --grid-uuid UUID --scenario mixed

      athanor simulate messages ctf.completed --dry-run
    """


@app.command("list-messages")
def list_messages() -> None:
    """List the kinds of messages, the fields of each, and other names of its command."""
    from simulators.messages.kinds import KINDS  # noqa: PLC0415 (as above)

    also = {kind: name for name, kind in _KNOWN.items()}
    print_table(
        f"{len(KINDS)} kinds of messages",
        ("event_type", "meaning", "fields", "also"),
        [(kind, _meaning(kind), ", ".join(_fields(kind)), also.get(kind)) for kind in KINDS],
        empty="",
    )


@app.command("workflow-simulation")
def workflow_simulation(  # noqa: PLR0913, PLR0917 (each is an option of the command)
    gridsquare_id: Annotated[
        int | None, typer.Option(help="The square, by EPU's id. Default: one made up.")
    ] = None,
    grid_uuid: Grid = None,
    foilhole_id: Annotated[
        list[int] | None, typer.Option(help="A hole of it; may be given several times.")
    ] = None,
    with_entities: Annotated[
        bool, typer.Option("--with-entities", help="Tell of grid, square and holes first.")
    ] = False,
    rate: Rate = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    to: To = Target.RABBITMQ,
    queue: Queue = None,
    url: Url = None,
) -> None:
    """Send what is published about one square, in the order in which it happens.

    Predictions for the square and its holes, then motion correction, CTF, particle picking and
    selection for the first images, then a refresh. Without the ids of a real session the
    messages wait for a square that never comes, unless --with-entities tells of it.
    """
    from simulators.messages.scenarios import workflow  # noqa: PLC0415 (as above)
    from simulators.messages.world import make_world  # noqa: PLC0415 (as above)

    chosen = random_of(seed)
    squares = () if gridsquare_id is None else (gridsquare_id,)
    world = make_world(
        chosen, grid=grid_uuid, squares=squares, holes=tuple(foilhole_id or ()), square_count=1
    )
    send(workflow(world, chosen, entities=with_entities), Sending(to, url, queue, rate, dry_run))


@app.command("batch-simulation")
def batch_simulation(  # noqa: PLR0913, PLR0917 (as above)
    gridsquare_count: Annotated[int, typer.Option(min=1, help="How many squares.")] = 5,
    scenario: Annotated[str, typer.Option(help="good, poor or mixed squares.")] = "mixed",
    grid_uuid: Grid = None,
    gridsquare_id: Annotated[
        list[int] | None,
        typer.Option(help="A square by EPU's id; may be given several times, then it counts."),
    ] = None,
    holes: Annotated[int, typer.Option(min=1, help="Holes made up for each square.")] = 12,
    rate: Rate = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    to: To = Target.RABBITMQ,
    queue: Queue = None,
    url: Url = None,
) -> None:
    """Send predictions for many squares and their holes: good ones, poor ones or both."""
    from simulators.messages.scenarios import Scenario, batch  # noqa: PLC0415 (as above)
    from simulators.messages.world import make_world  # noqa: PLC0415 (as above)

    if scenario not in set(Scenario):
        raise typer.BadParameter(f"{scenario!r} is none of {', '.join(Scenario)}.")
    chosen = random_of(seed)
    world = make_world(
        chosen,
        grid=grid_uuid,
        squares=tuple(gridsquare_id or ()),
        square_count=gridsquare_count,
        hole_count=holes,
    )
    send(batch(world, chosen, Scenario(scenario)), Sending(to, url, queue, rate, dry_run))


def _command(kind: str) -> TyperCommand | TyperGroup:
    """Return the command for a kind of message."""

    def call(
        *,
        count: int,
        rate: float | None,
        seed: int | None,
        dry_run: bool,
        to: Target,
        queue: str | None,
        url: str | None,
        **texts: str | list[str] | None,
    ) -> None:
        from simulators.messages.kinds import many, value_of  # noqa: PLC0415 (as above)
        from simulators.messages.world import make_world  # noqa: PLC0415 (as above)

        chosen = random_of(seed)
        given = {name: value_of(kind, name, text) for name, text in texts.items() if text}
        messages = many(kind, make_world(chosen), chosen, given, count)
        send(messages, Sending(to, url, queue, rate, dry_run))

    call.__doc__ = f"{_meaning(kind)}\n\nWhat is not given is made up."
    options = {**{name: _option(kind, name) for name in _fields(kind)}, **_COMMON}
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
    call.__signature__ = Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess] (typer asks for it)
    call.__annotations__ = {name: annotation for name, (annotation, _) in options.items()}
    made = typer.Typer(add_completion=False)
    made.command(kind)(call)
    return typer.main.get_command(made)  # pyright: ignore[reportReturnType] (typer's own types are private)


#: The options of every kind: annotation and default.
_COMMON: Mapping[str, tuple[Any, Any]] = {
    "count": (Count, 1),
    "rate": (Rate, None),
    "seed": (Seed, None),
    "dry_run": (DryRun, False),
    "to": (To, Target.RABBITMQ),
    "queue": (Queue, None),
    "url": (Url, None),
}


def _fields(kind: str) -> list[str]:
    from simulators.messages.kinds import KINDS  # noqa: PLC0415 (as above)

    return [name for name in KINDS[kind].model_fields if name not in {"event_type", "message_id"}]


def _option(kind: str, name: str) -> tuple[Any, Any]:
    """Return annotation and default of a field's option."""
    from simulators.messages.kinds import KINDS  # noqa: PLC0415 (as above)

    info = KINDS[kind].model_fields[name]
    several = get_origin(info.annotation) is tuple
    short = name.removesuffix("s") if several else _SHORT.get(name, name)
    names = dict.fromkeys(f"--{one.replace('_', '-')}" for one in (short, name))
    help_text = info.description or name
    if several:
        help_text += " May be given several times."
    annotation: Any = list[str] | None if several else str | None
    return Annotated[annotation, typer.Option(*names, help=help_text)], None


def _meaning(kind: str) -> str:
    from simulators.messages.kinds import KINDS  # noqa: PLC0415 (as above)

    said = (KINDS[kind].__doc__ or kind).strip().splitlines()[0]
    # A class for what becomes of an entity serves several kinds.
    what = said.removeprefix("Something happened to ").rstrip(".")
    return said if what == said.rstrip(".") else f"{what.capitalize()} was {kind.split('.')[1]}."


def _plain(name: str) -> str:
    return name.replace(".", "-").replace("_", "-").lower()
