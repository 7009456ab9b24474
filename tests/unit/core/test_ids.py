"""Derived ids are the same everywhere and differ where their parts do."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from core.ids import ATHANOR, derived

parts = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x1f")) | st.integers(), min_size=1
)


def test_derived_ids_never_change() -> None:
    assert UUID("6d1f3c52-8e8a-5c0b-9a3e-7f0f7b9a4d11") == ATHANOR
    assert derived(ATHANOR, "a", 1) == UUID("434bfe88-3bc5-5ba1-b1c0-4d1d3a1f2bee")


@given(one=parts, other=parts)
def test_ids_differ_where_parts_differ(one: list[object], other: list[object]) -> None:
    same = [str(part) for part in one] == [str(part) for part in other]

    assert (derived(ATHANOR, *one) == derived(ATHANOR, *other)) == same


@given(one=st.uuids(), other=st.uuids())
def test_ids_differ_where_parents_differ(one: UUID, other: UUID) -> None:
    assert (derived(one, "a") == derived(other, "a")) == (one == other)
