"""`athanor`: the command line. What goes wrong is said in a sentence, and the exit code tells."""

import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from core.errors import AthanorError, ConfigurationError
from entrypoints.registry import LazyGroup

FAILED = 1
INTERRUPTED = 130

#: Seconds that libraries' threads get when the command is done: Prefect's would go on for
#: minutes to send log lines and events to a server that is away.
LINGERS_FOR = 5.0


@dataclass
class Options:
    """What is said before the command's name."""

    debug: bool = False


app = typer.Typer(
    cls=LazyGroup,
    name="athanor",
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Settings are environment variables: `athanor config show` lists them. "
    "Each command has its own --help.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from core.version import version  # noqa: PLC0415 (`athanor --help` shall be fast)

        typer.echo(f"athanor {version()}")
        raise typer.Exit


@app.callback()
def _athanor(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Turn what instruments report into decisions, and tell why each was made.

    [bold]Start here:[/bold]

      athanor up                        run everything, in this terminal

      athanor simulate athena           a decision service to talk to

      athanor agent watch DIR           follow an EPU session

    [bold]Then look:[/bold]

      athanor status                    what is going on

      athanor decisions list            what was decided

      athanor messages list --state dead   what needs you
    """
    context.obj.debug = debug


def main() -> None:
    """Run the command that the process was called with, and end the process."""
    code = run(sys.argv[1:])
    deadline = threading.Timer(LINGERS_FOR, _end, args=(code,))
    deadline.daemon = True
    deadline.start()
    sys.exit(code)


def _end(code: int) -> None:
    """End the process now, whatever still goes on in it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run a command and return the exit code: 0, 1 failed, 2 misused, 130 interrupted."""
    options = Options()
    command = typer.main.get_command(app)
    return guarded(
        lambda: command.main(args=list(arguments), prog_name="athanor", obj=options), options
    )


def guarded(command: Callable[[], object], options: Options) -> int:
    """Run a command, tell what goes wrong, and return the exit code."""
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the one broad catch of this process)
        known = _known(error)
        return _tell(str(known), options) if known else _tell_unexpected(error, options)
    return 0


def _known(error: Exception) -> AthanorError | None:
    """Return what went wrong in words of ours; None when this should not happen."""
    if isinstance(error, AthanorError):
        return error
    from pydantic import ValidationError  # noqa: PLC0415 (`athanor --help` shall be fast)

    from core.settings import Settings  # noqa: PLC0415 (as above)

    if not isinstance(error, ValidationError) or error.title != Settings.__name__:
        return None
    wrong = [
        f"ATHANOR_{'__'.join(str(part) for part in item['loc']).upper()}: {item['msg']} "
        f"(it is {item['input']!r})."
        for item in error.errors()
    ]
    return ConfigurationError(" ".join([*wrong, "`athanor config --help` tells more."]))


def _tell(message: str, options: Options) -> int:
    if options.debug:
        traceback.print_exc()
    _say(f"Error: {message}")
    return FAILED


def _tell_unexpected(error: Exception, options: Options) -> int:
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    if options.debug:
        traceback.print_exc()
        _say(f"Error: this should not happen: {what}")
        return FAILED
    _say(f"Error: this should not happen: {what}")
    _say(f"The traceback is in {_keep_traceback()} (--debug shows it here).")
    return FAILED


def _say(line: str) -> None:
    typer.secho(line, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)


def _keep_traceback() -> Path:
    """Write the current traceback where a person finds it; return the file."""
    home = os.environ.get("ATHANOR_HOME")
    folders = [Path(home) / "logs"] if home else []
    for folder in (*folders, Path(tempfile.gettempdir())):
        path = folder / f"athanor-error-{os.getpid()}.txt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(traceback.format_exc())
        except OSError:
            continue
        return path
    return Path(os.devnull)


if __name__ == "__main__":
    main()
