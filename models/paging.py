"""Pages of long lists: each page tells where the next one starts, so none is skipped or repeated.

A cursor holds the sort key of a page's last row ("keyset"): the next page begins after it,
however many rows came or went meanwhile, and costs the same however deep it lies.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import CursorRejected

T = TypeVar("T")
R = TypeVar("R")
K = TypeVar("K", bound=tuple[Any, ...])

#: Longest cursor that is looked at; ours are shorter.
_LONGEST = 1_000


class View(BaseModel):
    """Base of everything that is read for people and programs: frozen."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class PageQuery(BaseModel):
    """What every list takes, in groups or not."""

    model_config = ConfigDict(extra="forbid")

    limit: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Most rows on a page. Without it, and without `cursor`, all rows come, "
        "streamed; with `cursor` alone it is 100.",
        examples=[100],
    )
    cursor: str | None = Field(
        None,
        max_length=1_000,
        description="Where the page begins: what `X-Next-Cursor` of the page before said; empty "
        "for the first page.",
    )


class Page(View, Generic[T]):
    """One page of a list."""

    items: list[T] = Field(description="What is on this page.")
    next_cursor: str | None = Field(
        description="Give it as `cursor` to get the next page; null on the last one."
    )


class Keyset(Generic[K]):
    """How the cursors of one list are written and read."""

    def __init__(self, key: Any) -> None:
        """Take the type of the sort key, a tuple."""
        self._key: TypeAdapter[K] = TypeAdapter(key)

    def read(self, cursor: str | None) -> K | None:
        """Return the sort key that a cursor holds; None for the first page.

        Raises:
            CursorRejected: It is not a cursor of this list.
        """
        if cursor is None:
            return None
        try:
            if len(cursor) > _LONGEST:
                raise CursorRejected
            return self._key.validate_json(base64.b64decode(cursor, altchars=b"-_", validate=True))
        except (ValidationError, binascii.Error, ValueError) as error:
            raise CursorRejected from error

    def page(
        self,
        rows: Sequence[R],
        limit: int,
        *,
        key: Callable[[R], K],
        view: Callable[[Sequence[R]], list[T]],
    ) -> Page[T]:
        """Return a page of `limit` rows out of up to one more, which tells that more follow."""
        shown = rows[:limit]
        more = len(rows) > limit
        return Page(items=view(shown), next_cursor=self.write(key(shown[-1])) if more else None)

    def write(self, key: K) -> str:
        """Return the cursor that holds a sort key."""
        return base64.urlsafe_b64encode(self._key.dump_json(key)).decode()
