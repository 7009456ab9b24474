"""Typed values out of EPU's elements: what is not there is None, what is wrong is an error."""

import math
import re
from collections.abc import Iterator
from datetime import datetime

from agent.epu.xml import Document, Element, local_name
from core.clock import as_utc
from core.errors import ManifestUnreadable
from domains.cryoem.manifests import Extent, Point, StagePosition

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
#: xsd:double may say these; they are no measurement.
_NOT_FINITE = frozenset({"NaN", "INF", "+INF", "-INF"})
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
#: .NET's DateTime.MinValue and MaxValue stand for "never".
_NO_YEARS = frozenset({1, 9999})


class Fields:
    """Values below one element of a document, each named by the path of local names to it."""

    def __init__(self, document: Document, element: Element) -> None:
        self._document = document
        self._element = element

    def below(self, *names: str) -> "Fields | None":
        """Return the fields of a descendant; None when a step is missing or nil."""
        element = self._element
        for name in names:
            element = next(element.iterchildren("{*}" + name), None)
            if element is not None:
                element = self._document.follow(element)
            if element is None:
                return None
        return Fields(self._document, element)

    def items(self, prefix: str) -> "Iterator[Fields]":
        """Yield the fields of each child whose name starts so, nil padding left out."""
        for child in self._element.iterchildren("{*}*"):
            if local_name(child).startswith(prefix):
                item = self._document.follow(child)
                if item is not None:
                    yield Fields(self._document, item)

    def text(self, *names: str) -> str | None:
        """Return stripped text, None when there is none."""
        found = self.below(*names)
        if found is None:
            return None
        return (found._element.text or "").strip() or None  # noqa: SLF001 (same class)

    def number(self, *names: str) -> float | None:
        """Return a finite number; what is not finite was not measured."""
        text = self.text(*names)
        if text is None or text in _NOT_FINITE:
            return None
        if _NUMBER.fullmatch(text) is None:
            raise self._wrong(names, text, "a number")
        value = float(text)
        return value if math.isfinite(value) else None

    def integer(self, *names: str) -> int | None:
        """Return a whole number of at most 18 digits."""
        text = self.text(*names)
        if text is None:
            return None
        if _INTEGER.fullmatch(text) is None:
            raise self._wrong(names, text, "a whole number")
        return int(text)

    def boolean(self, *names: str) -> bool | None:
        """Return a truth value."""
        text = self.text(*names)
        if text is None:
            return None
        if text not in _BOOLEANS:
            raise self._wrong(names, text, "true or false")
        return _BOOLEANS[text]

    def moment(self, *names: str) -> datetime | None:
        """Return a time in UTC; without an offset it names no instant and is None."""
        text = self.text(*names)
        if text is None:
            return None
        try:
            value = datetime.fromisoformat(text)
        except ValueError as error:
            raise self._wrong(names, text, "a time") from error
        if value.tzinfo is None or value.year in _NO_YEARS:
            return None
        return as_utc(value)

    def point(self, *names: str) -> Point | None:
        """Return x and y; None unless both are there."""
        found = self.below(*names)
        if found is None:
            return None
        x, y = found.number("x"), found.number("y")
        return None if x is None or y is None else Point(x=x, y=y)

    def extent(self, *names: str) -> Extent | None:
        """Return width and height; None unless both are there."""
        found = self.below(*names)
        if found is None:
            return None
        width, height = found.number("width"), found.number("height")
        return None if width is None or height is None else Extent(width=width, height=height)

    def stage(self, *names: str) -> StagePosition | None:
        """Return stage coordinates; None unless at least one is there."""
        found = self.below(*names)
        if found is None:
            return None
        axes = {axis.lower(): found.number(axis) for axis in ("X", "Y", "Z", "A", "B")}
        if all(value is None for value in axes.values()):
            return None
        return StagePosition(**axes)

    def required_integer(self, *names: str) -> int:
        """Return a whole number that the document makes no sense without."""
        value = self.integer(*names)
        if value is None:
            raise ManifestUnreadable(self._document.path, f"lacks {'/'.join(names)}")
        return value

    def _wrong(self, names: tuple[str, ...], text: str, wanted: str) -> ManifestUnreadable:
        field = "/".join(names) or local_name(self._element)
        return ManifestUnreadable(
            self._document.path, f"{field} is {text[:40]!r}, which is not {wanted}"
        )
