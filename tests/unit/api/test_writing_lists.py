"""Lists are written part by part, and are what they would be in one."""

import json
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.writing_lists import ListWriter

_NAMES = st.sampled_from(["", "a", "b", 'c"', "d\\"])


def nested(groups: list[tuple[str, ...]], depth: int) -> Any:
    """Return what rows 0, 1, … in these groups are as one value."""
    if depth == 0:
        return [{"n": n} for n in range(len(groups))]
    whole: dict[str, Any] = {}
    for n, group in enumerate(groups):
        inner: Any = whole
        for name in group[:-1]:
            inner = inner.setdefault(name, {})
        inner.setdefault(group[-1], []).append({"n": n})
    return whole


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
@given(data=st.data())
def test_parts_of_any_size_make_one_value(depth: int, data: st.DataObject) -> None:
    names = st.tuples(*[_NAMES] * depth)
    groups = sorted(data.draw(st.lists(names, max_size=12)))
    writer, rest, written = ListWriter(depth), iter(enumerate(groups)), b""
    left = len(groups)
    while left:
        part = list(islice(rest, data.draw(st.integers(1, 5))))
        rows = [{"n": n} for n, _ in part]
        written += writer.part(rows, [group for _, group in part] if depth else None)
        left -= len(part)
    assert json.loads(written + writer.end()) == nested(groups, depth)
