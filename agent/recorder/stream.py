"""recording.json read event by event: memory holds one event, not the document."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from core.errors import RecordingRefused

_READ = 256 * 1024
#: An event holds less than 1 MiB of text, which JSON may write six times as long.
_LARGEST_VALUE = 64 * 1024 * 1024
_AFTER = re.compile(r"[ \t\r\n,:}\]]")
_SPACE = re.compile(r"[ \t\r\n]*")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class _Scanner:
    """Takes one JSON value after the other from a file, reading no further than it must."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        self._buffer = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is no blank; nothing at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer) or self._ended:
                return self._buffer[self._at : self._at + 1]
            self._read_on()

    def take(self, *wanted: str) -> str:
        """Take one of these characters."""
        found = self.peek()
        if found not in wanted:
            expected = " or ".join(repr(one) if one else "the end" for one in wanted)
            self._fail(f"{expected} was expected, not {repr(found) if found else 'the end'}")
        self._at += len(found)
        return found

    def name(self) -> str:
        """Take the name of a field."""
        if self.peek() != '"':
            self.take('"')
        return self.value()

    def value(self) -> Any:
        """Take one value."""
        self.peek()
        while True:
            try:
                found, end = self._decoder.raw_decode(self._buffer, self._at)
            except ValueError as error:
                if self._ended:
                    self._fail(str(error))
            except RecursionError:
                self._fail("it is nested too deeply")
            else:
                if self._ended or self._is_whole(end):
                    self._at = end
                    return found
            self._read_on()

    def _is_whole(self, end: int) -> bool:
        """Tell whether a value goes no further; a number may, where reading stopped."""
        return self._buffer[end - 1] in '}]"' or bool(_AFTER.match(self._buffer, end))

    def _read_on(self) -> None:
        rest = self._buffer[self._at :]
        if len(rest) > _LARGEST_VALUE:
            self._fail(f"a value is not JSON, or longer than {_LARGEST_VALUE:,} characters")
        try:
            # Twice as much each time, or a long value would be looked at too often.
            more = self._file.read(max(_READ, len(rest)))
        except UnicodeDecodeError:
            self._fail("it is not UTF-8")
        self._ended = not more
        self._buffer, self._at = rest + more, 0

    def _fail(self, reason: str) -> NoReturn:
        raise RecordingRefused(f"The recording's recording.json cannot be read: {reason}.")


def read_document(path: Path) -> Iterator[tuple[str, Any]]:
    """Give ("metadata", object) and ("event", object) as they come.

    Raises:
        RecordingRefused: It is not the JSON of a recording, or is cut off.
    """
    with path.open(encoding="utf-8-sig") as file:
        scanner = _Scanner(file)
        scanner.take("{")
        following = scanner.take("}") if scanner.peek() == "}" else ","
        while following == ",":
            name = scanner.name()
            scanner.take(":")
            if name == "events":
                for event in _elements(scanner):
                    yield "event", event
            else:
                found = scanner.value()
                if name == "metadata":
                    yield "metadata", found
            following = scanner.take(",", "}")
        scanner.take("")


def _elements(scanner: _Scanner) -> Iterator[Any]:
    scanner.take("[")
    if scanner.peek() == "]":
        scanner.take("]")
        return
    following = ","
    while following == ",":
        yield scanner.value()
        following = scanner.take(",", "]")
