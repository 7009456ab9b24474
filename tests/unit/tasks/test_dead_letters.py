"""Many dead messages make one event."""

from tasks.dead_letters import DEAD, dead_letters, together


def test_dead_messages_of_a_batch_are_told_together_after_other_events() -> None:
    other = ("athanor.cryoem.session.ended", "athanor.grid.7", {"grid_uuid": "7"})
    first = dead_letters(1, message_id="a", kind="square", reason="too large")
    more = dead_letters(2, message_id="b", kind="hole", reason="too small")

    assert together([first, other, more]) == [
        other,
        (
            DEAD,
            "athanor.message.a",
            {"count": "3", "message_id": "a", "kind": "square", "reason": "too large"},
        ),
    ]


def test_without_dead_messages_events_stay_as_they_are() -> None:
    events = [("one", "1", {}), ("two", "2", {})]

    assert together(events) == events


def test_a_long_reason_is_cut_so_that_prefect_takes_the_event() -> None:
    _, _, payload = dead_letters(1, message_id="", kind="", reason="x" * 10_000)

    assert len(payload["reason"]) == 500
