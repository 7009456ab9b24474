"""Every exception of ours is in one tree and says something."""

import inspect

import pytest

from core import errors

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, Exception)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_error_is_of_our_tree_and_drawn_in_it(kind: type[Exception]) -> None:
    assert issubclass(kind, errors.AthanorError)
    assert kind.__name__ in (errors.__doc__ or "")


def test_error_without_a_message_says_what_it_is() -> None:
    assert str(errors.LeaseLost()) == "Another worker has taken this work over."
    assert str(errors.LeaseLost("by me")) == "by me"


def test_errors_carry_what_they_are_about() -> None:
    assert errors.UnknownParent("hole", "7").ident == "7"
    assert errors.MessageRejected("x", fields=["a"]).fields == ("a",)
    assert errors.AthenaConflict("x", status=409).status == 409
    assert "ATHANOR_API__PORT" in str(errors.PortTaken(80, "API", "ATHANOR_API__PORT"))
