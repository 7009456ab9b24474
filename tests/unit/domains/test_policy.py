"""Decisions can be checked by hand, and depend on the predictions alone."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from domains.cryoem.policy import (
    Candidate,
    Policy,
    Predicted,
    area_ids,
    is_complete,
    select_holes,
    select_square,
)

INT32_MAX = 2**31 - 1
GRID, SQUARE = uuid4(), uuid4()

naturals = st.none() | st.integers(-5, 12) | st.integers(INT32_MAX - 2, INT32_MAX + 2)
values = st.floats(0, 1)


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    holes = draw(st.lists(st.uuids(), max_size=8, unique=True))
    return [
        Candidate(
            hole,
            draw(st.booleans()),
            Predicted(hole, draw(values), draw(st.sampled_from("ab")), draw(st.uuids()))
            if draw(st.booleans())
            else None,
        )
        for hole in holes
    ]


@given(wanted=st.lists(naturals), taken=st.sets(st.integers(1, 12)))
def test_area_ids_are_unique_and_int32(wanted: list[int | None], taken: set[int]) -> None:
    given_ids = area_ids(wanted, taken)

    assert len(given_ids) == len(wanted)
    assert len(set(given_ids)) == len(given_ids)
    assert taken.isdisjoint(given_ids)
    assert all(0 < ident <= INT32_MAX for ident in given_ids)


@given(wanted=st.lists(naturals), taken=st.sets(st.integers(1, 12)))
def test_first_who_wants_a_free_id_keeps_it(wanted: list[int | None], taken: set[int]) -> None:
    given_ids = area_ids(wanted, taken)

    for place, natural in enumerate(wanted):
        if natural is None or not 0 < natural <= INT32_MAX or natural in taken:
            continue
        if natural not in wanted[:place]:
            assert given_ids[place] == natural


def test_next_free_ids_fill_from_below() -> None:
    assert area_ids([None, 2, 2, 2**31, 0, -1], {1, 4}) == [3, 2, 5, 6, 7, 8]


@given(holes=candidates(), threshold=values)
def test_hole_near_a_grid_bar_is_never_selected(holes: list[Candidate], threshold: float) -> None:
    selection = select_holes(GRID, SQUARE, holes, Policy(threshold=threshold))

    chosen = {hole for hole, yes in selection.selected.items() if yes} if selection else set()
    assert chosen == {
        c.hole
        for c in holes
        if c.predicted and c.predicted.value > threshold and not c.near_grid_bar
    }


@given(holes=candidates())
def test_each_predicted_hole_is_decided_and_no_other(holes: list[Candidate]) -> None:
    selection = select_holes(GRID, SQUARE, holes, Policy())

    predicted = {c.hole for c in holes if c.predicted}
    assert (set(selection.selected) if selection else set()) == predicted


@given(holes=candidates(), data=st.data())
def test_decision_on_holes_does_not_depend_on_their_order(
    holes: list[Candidate], data: st.DataObject
) -> None:
    other = data.draw(st.permutations(holes))

    assert select_holes(GRID, SQUARE, holes, Policy()) == select_holes(
        GRID, SQUARE, other, Policy()
    )


@given(holes=candidates().filter(lambda found: any(c.predicted for c in found)), new=st.uuids())
def test_another_prediction_is_another_decision(holes: list[Candidate], new: UUID) -> None:
    before = select_holes(GRID, SQUARE, holes, Policy())
    place = next(n for n, c in enumerate(holes) if c.predicted)
    old = holes[place].predicted
    assert old is not None
    changed = Candidate(
        holes[place].hole,
        holes[place].near_grid_bar,
        Predicted(old.area, old.value, old.model, new),
    )
    after = select_holes(GRID, SQUARE, [*holes[:place], changed, *holes[place + 1 :]], Policy())

    assert before is not None
    assert after is not None
    assert (before.id == after.id) == (old.message == new)


def test_decision_is_the_same_wherever_it_is_made() -> None:
    square = Predicted(UUID(int=2), 0.75, "resnet", UUID(int=3))

    selection = select_square(UUID(int=1), square, Policy())

    # A changed id would send old decisions to Athena again.
    assert selection.id == UUID("783c31bc-ab5c-55ae-bf5c-3821f9fd2fb3")
    assert selection.selected == {UUID(int=2): True}
    assert selection.basis == {UUID(int=2): UUID(int=3)}
    assert selection.details == "resnet: 0.75 (threshold 0.5)"


def test_details_tell_models_and_counts() -> None:
    holes = [
        Candidate(hole, near, Predicted(hole, value, model, uuid4()))
        for hole, near, value, model in [
            (uuid4(), False, 0.9, "b"),
            (uuid4(), False, 0.1, "a"),
            (uuid4(), True, 0.9, "a"),
        ]
    ]

    selection = select_holes(GRID, SQUARE, holes, Policy())

    assert selection is not None
    assert selection.details == "a, b: 1 of 3 holes above 0.5, 1 near a grid bar left out"


def test_nothing_predicted_is_nothing_decided() -> None:
    assert select_holes(GRID, SQUARE, [Candidate(uuid4(), False, None)], Policy()) is None
    assert select_holes(GRID, SQUARE, [], Policy()) is None


def test_square_is_complete_without_the_holes_near_a_grid_bar() -> None:
    hole = uuid4()
    predicted = Candidate(hole, False, Predicted(hole, 0.5, "a", uuid4()))

    assert is_complete([predicted, Candidate(uuid4(), True, None)])
    assert not is_complete([predicted, Candidate(uuid4(), False, None)])
