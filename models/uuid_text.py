"""Uuids as the text that people know, made by the database: cheaper than objects."""

from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class uuid_text(FunctionElement[str]):  # noqa: N801 (used as a function is)
    """A uuid with its hyphens."""

    name = "uuid_text"
    type = String()
    inherit_cache = True


@compiles(uuid_text)
def _cast(element: Any, compiler: Any, **more: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **more)} AS VARCHAR)"


@compiles(uuid_text, "sqlite")
def _hyphened(element: Any, compiler: Any, **more: Any) -> str:
    # SQLite keeps 32 digits.
    digits = compiler.process(element.clauses, **more)
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return "(" + " || '-' || ".join(f"substr({digits}, {at}, {n})" for at, n in parts) + ")"
