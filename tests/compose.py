"""deployments/compose.yaml as Compose reads it: merged, with variables put in."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT

FILE = ROOT / "deployments" / "compose.yaml"
EXAMPLE = ROOT / "deployments" / ".env.example"

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")


class UnsetVariable(Exception):
    """A variable that must be set is not."""


def put_in(text: str, variables: Mapping[str, str]) -> str:
    """Return a value with its variables replaced: ${A}, ${A:-default}, ${A:?why}, $$."""

    def value(found: re.Match[str]) -> str:
        dollar, name, kind, rest = found.groups()
        if dollar:
            return "$"
        if variables.get(name):
            return variables[name]
        if kind == "?":
            raise UnsetVariable(name)
        return rest or ""

    return _VARIABLE.sub(value, text)


def services(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the services, with variables replaced in every text."""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(inner) for key, inner in node.items()}
        if isinstance(node, list):
            return [walk(inner) for inner in node]
        return put_in(node, variables) if isinstance(node, str) else node

    return walk(yaml.safe_load(FILE.read_text())["services"])


def example() -> dict[str, str]:
    """Return the variables of .env.example."""
    return read_env(EXAMPLE)


def read_env(path: Path) -> dict[str, str]:
    """Return the variables of a file of KEY=value lines."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)
