"""What of one kind of thing is lost, doubled or wrong."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

#: Differences of one kind that are shown.
_SHOWN = 5


@dataclass
class Line:
    """What one kind of thing should be, and how many are otherwise."""

    what: str
    expected: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def table(lines: Sequence[Line]) -> str:
    """Return the lines as a table, with examples of what is otherwise."""
    head = f"{'':26}{'expected':>10}{'lost':>8}{'doubled':>9}{'wrong':>8}"
    rows = [head]
    for line in lines:
        numbers = f"{line.expected:10}{len(line.lost):8}{len(line.doubled):9}{len(line.wrong):8}"
        rows.append(f"{line.what:26}{numbers}")
        for kind in ("lost", "doubled", "wrong"):
            rows += [f"    {kind}: {one}" for one in getattr(line, kind)[:_SHOWN]]
    return "\n".join(rows)


def of_history(what: str, wanted: Set[K], found: Mapping[K, int]) -> Line:
    """Compare what must be there once with how often it is."""
    line = Line(what, len(wanted))
    line.lost = [str(key) for key in wanted if key not in found]
    line.doubled = [str(key) for key, number in found.items() if number > 1]
    line.wrong = [f"{key} was never said" for key in found if key not in wanted]
    return line


def of_mapping(what: str, wanted: Mapping[K, V], found: Mapping[K, V]) -> Line:
    """Compare what must be known of each thing with what is."""
    line = Line(what, len(wanted))
    for key, value in wanted.items():
        if key not in found:
            line.lost.append(f"{key}: {value}")
        elif found[key] != value:
            line.wrong.append(f"{key}: {found[key]}, not {value}")
    line.wrong += [
        f"{key}: {value}, not asked for" for key, value in found.items() if key not in wanted
    ]
    return line
