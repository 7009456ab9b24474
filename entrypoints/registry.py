"""Which commands there are. One is imported when it is used, so that `--help` is fast."""

from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from entrypoints.current import remembering


@dataclass(frozen=True)
class Entry:
    """A command, or a group of commands.

    `target` is "module:name" of a function or a `typer.Typer`, under `entrypoints.commands`.
    """

    name: str
    target: str
    summary: str
    panel: str


_RUN = "Run"
_LOOK = "Look and repair"
_ADMIT = "Let in"
_BRING = "Bring in and try out"

ENTRIES = (
    Entry("up", "run:up", "Run everything on this machine until Ctrl-C.", _RUN),
    Entry("init", "run:init", "Make everything ready: tables, work pool, deployments.", _RUN),
    Entry("worker", "run:worker", "Run one more worker.", _RUN),
    Entry("api", "api:api", "Run the HTTP API alone.", _RUN),
    Entry("sensor", "sensor:app", "Take messages from a facility's RabbitMQ.", _RUN),
    Entry("agent", "agent:app", "Follow what a microscope's software writes.", _RUN),
    Entry("status", "status:status", "Show queues, sessions and latencies.", _LOOK),
    Entry("sessions", "sessions:app", "Look at EPU sessions.", _LOOK),
    Entry("decisions", "decisions:app", "Look at decisions, and trace why they were made.", _LOOK),
    Entry("messages", "messages:app", "Look at messages, and inject dead ones again.", _LOOK),
    Entry("models", "models:app", "Look at the models that predict, and try some out.", _LOOK),
    Entry("weights", "weights:app", "Look at the weights of models, and set some.", _LOOK),
    Entry("report", "report:report", "Write a session's report: one page with its plots.", _LOOK),
    Entry("export", "export:export", "Write a session to one file.", _LOOK),
    Entry("import", "export:import_", "Bring a session back from a file.", _LOOK),
    Entry("retention", "retention:app", "Look at what is kept; let go of what is old.", _LOOK),
    Entry("config", "config:app", "Show the settings and where each comes from.", _LOOK),
    Entry("users", "users:app", "Let people use the API with a password of their own.", _ADMIT),
    Entry("keys", "keys:app", "Let agents and other programs use the API.", _ADMIT),
    Entry("clients", "clients:app", "Let programs get tokens for a name and a secret.", _ADMIT),
    Entry("audit", "audit:app", "See who changed what.", _ADMIT),
    Entry("ingest", "ingest:ingest", "Import an EPU session that lies on disk.", _BRING),
    Entry("record", "recorder:record", "Record what is written into a folder.", _BRING),
    Entry("replay", "replay:replay", "Play a recording into a folder.", _BRING),
    Entry("info", "recorder:info", "Show what a recording holds.", _BRING),
    Entry("verify", "recorder:verify", "Check a recording.", _BRING),
    Entry("demo", "demo:demo", "Show one session from files to decisions, all simulated.", _BRING),
    Entry("simulate", "simulate:app", "Run a simulated microscope, model or service.", _BRING),
)


class LazyGroup(TyperGroup):
    """Lists commands without importing them."""

    entries: ClassVar = {entry.name: entry for entry in ENTRIES}

    def list_commands(self, ctx: typer.Context) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride] # noqa: ARG002 (typer calls it so)
        """Return the names in the order of the help."""
        return list(self.entries)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:  # pyright: ignore[reportIncompatibleMethodOverride] # noqa: ARG002 (as above)
        """Return what the help shows of a command."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        return TyperCommand(
            entry.name,
            callback=None,
            short_help=entry.summary,
            help=entry.summary,
            rich_help_panel=entry.panel,
        )

    def resolve_command(self, ctx: typer.Context, args: list[str]):  # pyright: ignore[reportIncompatibleMethodOverride] # noqa: ANN201 (typer's own types are private)
        """Import the command that is used."""
        name, shown, rest = super().resolve_command(ctx, args)
        entry = self.entries.get(name or "")
        return name, shown if entry is None else load(entry), rest


def load(entry: Entry) -> TyperCommand | TyperGroup:
    """Import a command."""
    module, _, name = entry.target.partition(":")
    found = getattr(import_module(f"entrypoints.commands.{module}"), name)
    if not isinstance(found, typer.Typer):
        wrapped = typer.Typer(add_completion=False)
        wrapped.command(entry.name)(found)
        found = wrapped
    command = typer.main.get_command(found)
    command.name = entry.name
    remembering(command, f"athanor {entry.name}")
    return command  # pyright: ignore[reportReturnType] (typer's own types are private)
