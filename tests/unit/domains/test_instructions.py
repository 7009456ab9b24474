"""Instructions: their life, their order, and what predictions ask for."""

from uuid import UUID

import pytest

from domains.cryoem.instructions import (
    Ack,
    Evidence,
    InstructionType,
    Priority,
    Status,
    Thresholds,
    after_ack,
    for_holes,
    for_squares,
    resend_after,
    urgency,
)


def predicted(number: int, value: float) -> Evidence:
    return Evidence(UUID(int=number), number, value, "net", "1.2")


@pytest.mark.parametrize(
    ("status", "ack", "claimed", "follows"),
    [
        # In two steps, or at once.
        (Status.SENT, Ack.RECEIVED, True, Status.RECEIVED),
        (Status.RECEIVED, Ack.PROCESSED, True, Status.PROCESSED),
        (Status.SENT, Ack.FAILED, True, Status.FAILED),
        (Status.SENT, Ack.DECLINED, True, Status.DECLINED),
        # Faster than our note that it was sent.
        (Status.PENDING, Ack.RECEIVED, True, Status.RECEIVED),
        # Of what no stream has taken, or out of order, or against what is known.
        (Status.PENDING, Ack.RECEIVED, False, None),
        (Status.RECEIVED, Ack.RECEIVED, True, None),
        (Status.PROCESSED, Ack.RECEIVED, True, None),
        (Status.FAILED, Ack.PROCESSED, True, None),
        (Status.CANCELLED, Ack.PROCESSED, True, None),
        (Status.EXPIRED, Ack.RECEIVED, True, None),
    ],
)
def test_an_acknowledgement_fits_or_contradicts(
    status: Status, ack: Ack, claimed: bool, follows: Status | None
) -> None:
    assert after_ack(status, ack, claimed=claimed) == follows


def test_the_urgent_go_first_then_the_earlier() -> None:
    given = [(Priority.LOW, 1), (Priority.HIGH, 4), (Priority.URGENT, 5), (Priority.HIGH, 2)]
    assert [number for _, number in sorted(given, key=lambda one: urgency(*one))] == [5, 2, 4, 1]


def test_a_resend_waits_twice_as_long_each_time_and_not_for_ever() -> None:
    assert [resend_after(sends, 30, 3) for sends in (1, 2, 3, 4)] == [30, 60, 120, None]
    assert resend_after(30, 30, 99) == 480


def test_good_squares_go_forward_best_first_and_bad_ones_are_skipped() -> None:
    values = [(1, 0.8), (2, 0.3), (3, 0.95), (4, 0.79), (5, 0.31), (6, 0.1)]
    forward, skip = for_squares([predicted(*one) for one in values], Thresholds())
    assert forward.type == InstructionType.REORDER_SQUARES
    assert forward.payload == {
        "gridsquare_ids": ["3", "1"],
        "priority": "high",
        "reason": "2 squares predicted at 0.8 or better",
    }
    assert (skip.type, skip.payload["gridsquare_ids"]) == (InstructionType.SKIP_SQUARES, ["2", "6"])
    assert (forward.threshold, skip.threshold) == (0.8, 0.3)
    assert [one.model_version for one in skip.evidence] == ["1.2", "1.2"]


def test_good_holes_go_forward_and_without_any_there_is_nothing_to_say() -> None:
    (made,) = for_holes(7, [predicted(1, 0.81), predicted(2, 0.5)], Thresholds())
    assert (made.payload["gridsquare_id"], made.payload["foilhole_ids"]) == ("7", ["1"])
    assert for_holes(7, [predicted(2, 0.79)], Thresholds()) == []
    assert for_squares([predicted(2, 0.5)], Thresholds()) == []


def test_thresholds_that_would_do_both_are_refused() -> None:
    with pytest.raises(ValueError, match="less than"):
        Thresholds(0.5, 0.5)
