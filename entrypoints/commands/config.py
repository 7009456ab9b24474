"""`athanor config …`: the settings and where each comes from."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import typer
from pydantic import BaseModel, SecretStr

from core.settings import Settings
from entrypoints import showing
from entrypoints.showing import AsJson

app = typer.Typer(help="Show the settings and where each comes from.", no_args_is_help=True)

_HIDDEN = "********"


@dataclass(frozen=True)
class Setting:
    """One setting."""

    name: str
    value: Any
    source: str
    description: str


@app.callback()
def _group() -> None:
    """Show the settings and where each comes from.

    Each setting is an environment variable ATHANOR_…; sections are joined by two underscores:
    ATHANOR_API__PORT=8000.
    """


@app.command()
def show(as_json: AsJson = False) -> None:
    """Show every setting: its value, where it comes from, and what it means.

    Secrets are hidden.

    Example:
      athanor config show --json | jq -r '.settings[] | select(.source != "default") | .name'
    """
    settings = Settings()
    found = list(settings_of(settings, "ATHANOR_"))
    if as_json:
        typer.echo(json.dumps({"settings": [asdict(one) for one in found]}, indent=2))
        return
    showing.print_table(
        "Settings",
        ("name", "value", "from", "meaning"),
        ((one.name, _shown(one.value), one.source, one.description) for one in found),
        empty="",
    )
    showing.console().print(
        f"Database in use: {without_password(settings.resolved_database_url)}", soft_wrap=True
    )


def settings_of(section: BaseModel, prefix: str, *, given: bool = False) -> Iterator[Setting]:
    """Yield the settings of a section, by the names of their environment variables.

    `given` says that the section as a whole was set, as JSON.
    """
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        variable = f"{prefix}{name.upper()}"
        if isinstance(value, BaseModel):
            whole = _is_set(variable)
            yield from settings_of(value, f"{variable}__", given=whole)
            continue
        is_ours = _is_set(variable) or (given and name in section.model_fields_set)
        yield Setting(
            name=variable,
            value=_public(value),
            source="environment" if is_ours else "default",
            description=field.description or "",
        )


def _is_set(variable: str) -> bool:
    return any(name.upper() == variable for name in os.environ)


def _public(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return _HIDDEN if value.get_secret_value() else ""
    if isinstance(value, str) and "://" in value:
        return without_password(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return [_public(one) for one in value] if isinstance(value, list | tuple) else str(value)


def without_password(url: str) -> str:
    """Return a URL whose password is hidden."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = f"{name}:{_HIDDEN}" if colon else name
    return f"{scheme}{separator}{shown}{at}{host}{slash}{path}"


def _shown(value: Any) -> Any:
    return "\n".join(str(one) for one in value) if isinstance(value, list) else value
