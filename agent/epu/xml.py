"""Hardened reading of EPU's XML: no entities, no DTD, no network, bounded depth.

`Document.stream` hands out one record element at a time and forgets it afterwards, so that
a large file needs memory for its records' values only. Documents are .NET DataContract
style: `z:Ref="n"` stands for the element with `z:Id="n"`, `i:nil="true"` for no value.
"""

import codecs
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] (lxml ships no types)

from core.errors import ManifestIncomplete, ManifestUnreadable

DATA_CONTRACT = "http://schemas.datacontract.org/2004/07/"
GENERIC = DATA_CONTRACT + "System.Collections.Generic"
SHARED_OBJECTS = DATA_CONTRACT + "Fei.SharedObjects"
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_REF = "{http://schemas.microsoft.com/2003/10/Serialization/}Ref"
_ID = "{http://schemas.microsoft.com/2003/10/Serialization/}Id"

_HARDENED: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "attribute_defaults": False,
    "huge_tree": False,
    "recover": False,
    "remove_comments": True,
    "remove_pis": True,
}
_CHUNK_BYTES = 128 * 1024
#: Enough for the root's start tag in one go.
_HEAD_BYTES = 2 * 1024

#: lxml ships no types; these names say at least what is meant.
Element: TypeAlias = Any
_Parser: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Root:
    """What a document of one kind must start with."""

    name: str
    namespaces: Collection[str]


class Document:
    """One XML document in memory; `stream` it once, then look at what is left of the `root`."""

    def __init__(self, path: str, data: bytes, expected: Root) -> None:
        self.path = path
        self._data = data
        self._expected = expected
        self._root: Element | None = None
        self._by_id: dict[str, Element] | None = None

    @property
    def root(self) -> Element:
        """The root element, records that were forgotten excepted."""
        if self._root is None:
            for _ in self.stream():
                pass
        if self._root is None:
            raise ManifestIncomplete(self.path, "has no root element")
        return self._root

    def stream(self, *tags: str) -> Iterator[Element]:
        """Yield each finished element that has one of `tags`, in document order.

        Whoever needs an element no more gives it to `forget`.

        Raises:
            ManifestIncomplete: The document ends too early.
            ManifestUnreadable: It is no XML, is of another kind, or carries a DTD.
        """
        self._check_start()
        parser = etree.XMLPullParser(events=("end",) if tags else (), tag=tags, **_HARDENED)
        for offset in range(0, len(self._data), _CHUNK_BYTES):
            self._feed(parser, self._data[offset : offset + _CHUNK_BYTES])
            for _, element in parser.read_events():
                yield element
        root = self._close(parser)
        for _, element in parser.read_events():
            yield element
        self._root = root

    def follow(self, element: Element) -> Element | None:
        """Return the element itself, the one that its z:Ref names, or None when it is nil."""
        reference = element.get(_REF)
        if reference is not None:
            target = self._referenced(reference)
            return None if target is None or _is_nil(target) else target
        return None if _is_nil(element) else element

    def _referenced(self, reference: str) -> Element | None:
        # References into our fields are rare, and streaming may have forgotten their targets:
        # the first one costs a second, whole parse.
        if self._by_id is None:
            whole = Document(self.path, self._data, self._expected).root
            self._by_id = {
                ident: element
                for element in whole.iter("*")
                if (ident := element.get(_ID)) is not None
            }
        return self._by_id.get(reference)

    def _check_start(self) -> None:
        data = self._data.removeprefix(codecs.BOM_UTF8).lstrip()
        if not data or codecs.BOM_UTF8.startswith(data):
            raise ManifestIncomplete(self.path, "is empty")
        if data.strip(b"\0") and not data.startswith(b"<"):
            raise ManifestUnreadable(self.path, "is not XML in UTF-8")
        if data.endswith(b"\0"):
            raise ManifestIncomplete(self.path, "ends in zero bytes: it was not written to its end")
        parser = etree.XMLPullParser(events=("start",), **_HARDENED)
        for offset in range(0, len(self._data), _HEAD_BYTES):
            self._feed(parser, self._data[offset : offset + _HEAD_BYTES])
            for _, element in parser.read_events():
                self._check_root(element)
                return
        self._close(parser)

    def _check_root(self, element: Element) -> None:
        document = element.getroottree().docinfo
        if document.doctype or document.internalDTD is not None:
            raise ManifestUnreadable(self.path, "has a DTD, which is refused")
        name = etree.QName(element)
        expected = self._expected
        if name.localname != expected.name or name.namespace not in expected.namespaces:
            raise ManifestUnreadable(
                self.path, f"starts with {name.text}, not with {expected.name} of EPU"
            )

    def _feed(self, parser: _Parser, data: bytes) -> None:
        try:
            parser.feed(data)
        except etree.LxmlError as error:
            raise ManifestUnreadable(self.path, f"is not well-formed XML: {error}") from error
        self._check_log(parser)

    def _close(self, parser: _Parser) -> Element:
        try:
            root: Element = parser.close()
        except etree.LxmlError as error:
            # What is wrong in the middle fails while it is fed; only an open end fails here.
            raise ManifestIncomplete(self.path, f"ends too early: {error}") from error
        self._check_log(parser)
        return root

    def _check_log(self, parser: _Parser) -> None:
        # lxml does not raise for everything that makes a document ill-formed, such as an
        # undeclared entity, but it does write it down.
        for entry in parser.feed_error_log.filter_from_errors():
            raise ManifestUnreadable(
                self.path, f"is not well-formed XML: {entry.message}, column {entry.column}"
            )


def forget(element: Element) -> None:
    """Release an element's content and all siblings before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def local_name(element: Element) -> str:
    """Return the name without its namespace, which differs between versions of EPU."""
    return str(element.tag).rpartition("}")[2]


def _is_nil(element: Element) -> bool:
    return element.get(_NIL) in ("true", "1")
