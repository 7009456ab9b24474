"""What is compared when two XML documents are to have the same structure."""

from collections.abc import Iterator
from itertools import pairwise

from lxml import etree

#: The path of qualified names from the root, and the names of the element's attributes.
Shape = tuple[tuple[str, ...], frozenset[str]]

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


def shapes(data: bytes) -> set[Shape]:
    """Return the shape of each element."""
    return {
        (path, frozenset(element.keys())) for path, element in _walk(etree.fromstring(data), ())
    }


def paths(data: bytes) -> set[tuple[str, ...]]:
    """Return the path of each element."""
    return {path for path, _ in shapes(data)}


def successions(data: bytes) -> set[tuple[tuple[str, ...], str, str]]:
    """Return, for each element, which names follow each other directly inside it."""
    return {
        (path, first.tag, second.tag)
        for path, element in _walk(etree.fromstring(data), ())
        for first, second in pairwise(element)
    }


def _walk(element, above) -> Iterator[tuple[tuple[str, ...], etree._Element]]:
    path = (*above, element.tag)
    yield path, element
    for child in element:
        yield from _walk(child, path)
