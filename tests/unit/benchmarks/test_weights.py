"""The chaos run's rules of weights, checked by hand."""

import pytest

from benchmarks.chaos.weights import Account, joined, score, stepped


def qualities(*values: float, larger_is_better: bool) -> list[float]:
    account = Account()
    found: list[float] = []
    for value in values:
        found.append(account.quality(value, larger_is_better=larger_is_better))
        account.join(value)
    return found


def test_quality_is_that_among_the_values_before() -> None:
    # Before the last: mean 4, standard deviation 2; 6 is one above.
    assert qualities(4, 2, 6, 6, larger_is_better=True) == pytest.approx(
        [1, 0, 0.9831, 0.8413], abs=1e-4
    )
    assert qualities(4, 2, 6, 6, larger_is_better=False)[1:] == pytest.approx(
        [1, 0.0169, 0.1587], abs=1e-4
    )
    assert qualities(4, 4, 4, larger_is_better=False) == [1, 0.5, 0.5]


def test_statistics_are_those_of_all_values() -> None:
    account = Account()
    for value in (4.0, 2.0, 6.0):
        account.join(value)

    assert account == Account(3, 4.0, 8.0)


def test_models_that_begin_together_share_and_a_late_one_counts_as_the_average() -> None:
    assert joined({}, ["a", "b"]) == {"a": 0.5, "b": 0.5}
    assert joined({"a": 0.75, "b": 0.25}, ["b", "c"]) == pytest.approx(
        {"a": 0.5, "b": 0.25 / 1.5, "c": 0.5 / 1.5}
    )


def test_weights_move_to_who_was_right_and_stay_with_who_said_nothing() -> None:
    weights = {"a": 0.4, "b": 0.4, "c": 0.2}

    assert stepped(weights, {"a": 0.9, "b": 0.1, "c": None}, 1.0) == pytest.approx(
        {"a": 0.72, "b": 0.08, "c": 0.2}
    )
    assert stepped(weights, {"a": 0.0, "b": 0.0, "c": None}, 1.0) == weights


def test_score_takes_what_a_model_says_of_the_hole_before_what_it_says_of_the_square() -> None:
    weights = {metric: {"a": 1.0} for metric in ("motioncorrection", "ctfmaxresolution")}

    found = score(weights, {("a", "ctfmaxresolution"): 0.9}, {("a", ""): 0.4})

    assert found == pytest.approx((0.9 * 0.4 * 0.5) ** (1 / 3))
