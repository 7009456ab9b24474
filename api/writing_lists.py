"""Lists as JSON, part by part: a plain array, or arrays in objects that name their groups."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from pydantic_core import to_json

from models.listing import Row


class ListWriter:
    """Writes one list; parts that follow one another may be of the same group."""

    def __init__(self, depth: int) -> None:
        """Take how many groups each row is in; 0 makes a plain array."""
        self._depth = depth
        #: The groups of the last row; None before the first.
        self._within: tuple[str, ...] | None = None

    def part(self, rows: Sequence[Row], groups: Sequence[tuple[str, ...]] | None) -> bytes:
        """Return the rows that come next, with what leads to them."""
        if groups is None:
            return self._run((), rows) if rows else b""
        pairs = groupby(zip(groups, rows, strict=True), key=itemgetter(0))
        return b"".join(self._run(group, [row for _, row in run]) for group, run in pairs)

    def end(self) -> bytes:
        """Return what ends the list."""
        if self._within is None:
            return b"{}" if self._depth else b"[]"
        return b"]" + b"}" * self._depth

    def _run(self, group: tuple[str, ...], rows: Sequence[Row]) -> bytes:
        """Return rows of one group."""
        lead, self._within = self._lead(group), group
        return lead + to_json(rows, inf_nan_mode="null")[1:-1]

    def _lead(self, group: tuple[str, ...]) -> bytes:
        """Return what closes the groups that end, and opens those that begin."""
        if self._within == group:
            return b","
        if self._within is None:
            return (b"{" if self._depth else b"") + _opened(group)
        same = next(n for n, (a, b) in enumerate(zip(self._within, group, strict=True)) if a != b)
        return b"]" + b"}" * (self._depth - same - 1) + b"," + _opened(group[same:])


def _opened(names: tuple[str, ...]) -> bytes:
    return b"{".join(to_json(name) + b":" for name in names) + b"["
