"""Query parameters that several routes take."""

from typing import Annotated

from fastapi import Query

#: A text that every database takes.
_NO_NUL = r"^[^\x00]*$"

Limit = Annotated[int, Query(ge=1, le=500, description="Most items on the page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=1_000, description="`next_cursor` of the page before; none for the first."),
]


def text_filter(description: str, example: str) -> object:
    """Return the declaration of an optional text to filter by."""
    return Query(max_length=255, pattern=_NO_NUL, description=description, examples=[example])
