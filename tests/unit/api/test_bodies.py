"""Bodies as they come in: any pieces, any packing, never more than allowed."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.bodies import _require_storable, _unzipped
from api.errors import RequestRefused
from tasks.intake import MessagesRejected

LIMIT = 10_000


def unzip(packed: bytes, size: int) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(packed), size):
            yield packed[start : start + size]

    async def joined() -> bytes:
        return b"".join([piece async for piece in _unzipped(pieces(), LIMIT)])

    return asyncio.run(joined())


@given(st.lists(st.binary(max_size=500), min_size=1, max_size=4), st.integers(1, 700))
def test_gzip_in_any_pieces_is_what_was_packed(parts: list[bytes], size: int) -> None:
    packed = b"".join(gzip.compress(part) for part in parts)
    assert unzip(packed, size) == b"".join(parts)


@given(st.integers(LIMIT + 2, 5_000_000), st.integers(1, 5_000))
def test_however_well_packed_no_more_than_allowed_comes_out(length: int, size: int) -> None:
    assert len(unzip(gzip.compress(b" " * length), size)) == LIMIT + 1


@given(st.binary(min_size=1, max_size=300), st.data())
def test_gzip_that_ends_early_is_refused(content: bytes, data: Any) -> None:
    packed = gzip.compress(content)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(RequestRefused, match="ends too early"):
        unzip(packed[:cut], 100)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(alphabet="a\x00b", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab\x00", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("ab"), values, max_size=2))
def test_what_is_not_strict_json_or_has_a_nul_is_refused_and_nothing_else(
    message: dict[str, Any],
) -> None:
    signs = ("NaN", "Infinity", "\\u0000")
    if any(sign in json.dumps(message) for sign in signs):
        with pytest.raises(MessagesRejected) as refused:
            _require_storable([message])
        assert all(problem.fields and problem.reasons for problem in refused.value.problems)
    else:
        _require_storable([message])
