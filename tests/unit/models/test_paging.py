"""Cursors: what is written is read again, and nothing else is taken for one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CursorRejected
from models.paging import Keyset

KEYSET: Keyset[tuple[Any, ...]] = Keyset(tuple[datetime | None, UUID, str, int])


@dataclass(frozen=True)
class Row:
    key: tuple[datetime | None, UUID, str, int]


keys = st.tuples(
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
    st.text(max_size=50),
    st.integers(),
)


@given(keys, st.integers(1, 5))
def test_a_cursor_holds_the_key_of_the_last_row_shown(key: Any, limit: int) -> None:
    rows = [Row(key)] * (limit + 1)
    page = KEYSET.page(rows, limit, key=lambda row: row.key, view=list)
    assert len(page.items) == limit
    assert KEYSET.read(page.next_cursor) == key


@given(keys, st.integers(0, 5))
def test_the_last_page_has_no_cursor(key: Any, count: int) -> None:
    page = KEYSET.page([Row(key)] * count, 5, key=lambda row: row.key, view=list)
    assert (len(page.items), page.next_cursor) == (count, None)


@given(st.text() | st.binary().map(lambda data: data.hex()))
def test_nothing_else_is_taken_for_a_cursor(text: str) -> None:
    with pytest.raises(CursorRejected):
        KEYSET.read(text)


@pytest.mark.parametrize("text", ["", "AAAA", "W10=", "bnVsbA==", "e" * 5_000, "é"])
def test_what_looks_like_a_cursor_is_refused_too(text: str) -> None:
    with pytest.raises(CursorRejected):
        KEYSET.read(text)
