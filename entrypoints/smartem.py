"""Commands as users of SmartEM know them: the same as `athanor models`, `weights`, `retention`."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer

from entrypoints.cli import Options, guarded
from entrypoints.commands import agent_cleanup as cleaning
from entrypoints.commands import models, weights
from entrypoints.current import remembering


def register_prediction_model() -> NoReturn:
    """`smartem.register-prediction-model NAME DESCRIPTION [--level …]`."""
    _run("smartem.register-prediction-model", models.register)


def init_model_weight() -> NoReturn:
    """`smartem.init-model-weight NAME WEIGHT [--grid-uuid --metric]`."""
    _run("smartem.init-model-weight", weights.init)


def random_model_predictions() -> NoReturn:
    """`smartem.random-model-predictions MODEL [--grid-uuid --random-range A B --level …]`."""
    _run("smartem.random-model-predictions", models.random_predictions)


def random_prior_updates() -> NoReturn:
    """`smartem.random-prior-updates [--grid-uuid --random-range A B --metric]`."""
    _run("smartem.random-prior-updates", weights.random_updates)


def agent_cleanup() -> NoReturn:
    """`smartem.agent-cleanup [--operation … --policy … --dry-run]`."""
    _run("smartem.agent-cleanup", cleaning.agent_cleanup)


def _run(name: str, function: Callable[..., Any]) -> NoReturn:
    wrapped = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    wrapped.command(name, context_settings={"help_option_names": ["-h", "--help"]})(function)
    command = typer.main.get_command(wrapped)
    remembering(command, name)
    options = Options()

    def called() -> None:
        command.main(args=sys.argv[1:], prog_name=name, obj=options)

    sys.exit(guarded(called, options))
