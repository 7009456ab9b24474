"""Templates of .NET DataContract XML, written as people read it and filled as EPU writes it.

A template has `%(name)s` where a value goes, and `z:Id="#"` where EPU counts up. `#name`
labels an id, so that `z:Ref="#name"` can point at it; `finish` gives all of them their numbers.
"""

import html
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from domains.cryoem.manifests import Extent, Point, StagePosition

DATA_CONTRACT = "http://schemas.datacontract.org/2004/07/"
XML_SCHEMA = "http://www.w3.org/2001/XMLSchema"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
SERIALIZATION = "http://schemas.microsoft.com/2003/10/Serialization/"
ARRAYS = SERIALIZATION + "Arrays"
COMMON_TYPES = DATA_CONTRACT + "Fei.Applications.Common.Types"
DRAWING = DATA_CONTRACT + "System.Drawing"
EPU = DATA_CONTRACT + "Applications.Epu.Persistence"
FEI_TYPES = DATA_CONTRACT + "Fei.Types"
GENERIC = DATA_CONTRACT + "System.Collections.Generic"
SHARED_OBJECTS = DATA_CONTRACT + "Fei.SharedObjects"
UNITS = DATA_CONTRACT + "Fei.Common.Types"
MEDIA = DATA_CONTRACT + "System.Windows.Media"

MSCORLIB = "mscorlib, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089"
UNSIGNED = "Culture=neutral, PublicKeyToken=null"
EPU_ASSEMBLY = f"Applications.Epu.Persistence, Version=3.7.0.1, {UNSIGNED}"

#: EPU writes its clock's local time; the simulated one stands an hour east of Greenwich.
LOCAL_TIME = timezone(timedelta(hours=1))

_BETWEEN_TAGS = re.compile(r">\s+<")
_IN_TAGS = re.compile(r"\s*\n\s*")
_IDENT = re.compile(r'z:(Id|Ref)="#(\w*)"')


class Xml(str):
    """Text that is markup already."""

    __slots__ = ()


Value = Xml | str | int | float | bool | datetime


class Template:
    """One piece of XML with gaps."""

    def __init__(self, text: str) -> None:
        self._text = _IN_TAGS.sub(" ", _BETWEEN_TAGS.sub("><", text.strip()))

    def fill(self, **values: Value) -> Xml:
        """Return the piece with its gaps filled and everything but markup escaped."""
        return Xml(self._text % {name: written(value) for name, value in values.items()})


def written(value: Value) -> str:
    """Return a value as EPU writes it."""
    if isinstance(value, Xml):
        return value
    if isinstance(value, str):
        return html.escape(value, quote=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).removesuffix(".0").upper()
    if isinstance(value, datetime):
        return value.astimezone(LOCAL_TIME).isoformat()
    return str(value)


def joined(pieces: "list[Xml]") -> Xml:
    """Return pieces of markup, one after the other."""
    return Xml("".join(pieces))


def element(name: str, value: Value | None) -> Xml:
    """Return a simple element, nil where there is no value."""
    if value is None:
        return Xml(f'<{name} i:nil="true"/>')
    return Xml(f"<{name}>{written(value)}</{name}>")


def interned(name: str, value: str | None) -> Xml:
    """Return an element of text, which counts as an object of its own."""
    if value is None:
        return element(name, None)
    return Xml(f'<{name} z:Id="#">{written(value)}</{name}>')


def point(name: str, value: Point | None, prefix: str) -> Xml:
    """Return x and y, in System.Drawing's namespace."""
    if value is None:
        return Xml(f'<{name} i:nil="true" xmlns:{prefix}="{DRAWING}"/>')
    return _record(name, DRAWING, prefix, {"x": value.x, "y": value.y})


def extent(name: str, value: Extent | None, prefix: str) -> Xml:
    """Return height and width, in System.Drawing's namespace."""
    if value is None:
        return Xml(f'<{name} i:nil="true" xmlns:{prefix}="{DRAWING}"/>')
    return _record(name, DRAWING, prefix, {"height": value.height, "width": value.width})


def rectangle(name: str, position: Point | None, size: Extent | None, prefix: str) -> Xml:
    """Return position and size as one rectangle; nil unless both are known."""
    if position is None or size is None:
        return Xml(f'<{name} i:nil="true" xmlns:{prefix}="{DRAWING}"/>')
    sides = {"height": size.height, "width": size.width, "x": position.x, "y": position.y}
    return _record(name, DRAWING, prefix, sides)


def stage(name: str, value: StagePosition | None, prefix: str) -> Xml:
    """Return a stage position in the namespace of Fei.SharedObjects; what it lacks is nil."""
    if value is None:
        return Xml(f'<{name} i:nil="true" xmlns:{prefix}="{SHARED_OBJECTS}"/>')
    axes = {"A": value.a, "B": value.b, "X": value.x, "Y": value.y, "Z": value.z}
    return _record(name, SHARED_OBJECTS, prefix, axes)


def _record(name: str, namespace: str, prefix: str, fields: Mapping[str, float | None]) -> Xml:
    inner = "".join(element(f"{prefix}:{field}", value) for field, value in fields.items())
    return Xml(f'<{name} xmlns:{prefix}="{namespace}">{inner}</{name}>')


def dictionary(key: str, value: str) -> str:
    """Return the .NET name of a dictionary type, from those of its parts."""
    return f"System.Collections.Generic.Dictionary`2[[{key}],[{value}]]"


def pairs(key: str, value: str) -> str:
    """Return the .NET name of an array of key and value pairs."""
    return f"System.Collections.Generic.KeyValuePair`2[[{key}],[{value}]][]"


def comparer(key: str) -> str:
    """Return the .NET name of a dictionary's default comparer."""
    return f"System.Collections.Generic.GenericEqualityComparer`1[[{key}]]"


def finish(document: Xml) -> bytes:
    """Return the document as a file's content, its ids counted up in document order."""
    numbers: dict[str, int] = {}
    last = 0

    def number(found: re.Match[str]) -> str:
        nonlocal last
        kind, label = found.groups()
        if kind == "Ref":
            return f'z:Ref="{numbers[label]}"'
        last += 1
        if label:
            numbers[label] = last
        return f'z:Id="{last}"'

    return _IDENT.sub(number, document).encode()
