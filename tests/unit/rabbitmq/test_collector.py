"""Batches are cut by number or by time, and no message is forgotten."""

from messaging.rabbitmq.collector import Collector


async def test_nothing_is_due_without_messages():
    assert Collector(1, batch_size=3, batch_seconds=1).ready_in() is None


async def test_a_full_batch_is_due_at_once_and_another_one_later():
    collector = Collector(4, batch_size=3, batch_seconds=60)
    for tag in range(1, 5):
        collector.add(tag, b"%d" % tag, None, redelivered=False)
    assert collector.ready_in() == 0
    batch = collector.take()
    assert (batch.generation, batch.first_tag, batch.last_tag) == (4, 1, 3)
    assert batch.bodies == [b"1", b"2", b"3"]
    due = collector.ready_in()
    assert due is not None
    assert 0 < due <= 60
    rest = collector.take()
    assert (rest.first_tag, rest.bodies) == (4, [b"4"])
    assert collector.last_tag == 4
    assert collector.ready_in() is None


async def test_a_message_need_not_wait_for_others_without_a_time():
    collector = Collector(1, batch_size=3, batch_seconds=0)
    collector.add(1, b"1", "id", redelivered=True)
    assert collector.ready_in() == 0
    batch = collector.take()
    assert (batch.message_ids, batch.redelivered) == (["id"], [True])


async def test_batches_after_a_pause_go_on_counting():
    collector = Collector(1, batch_size=2, batch_seconds=60)
    tags = []
    for tag in range(1, 8):
        collector.add(tag, b"", None, redelivered=False)
        if collector.ready_in() == 0:
            tags.append(collector.take().first_tag)
    tags.append(collector.take().first_tag)
    assert tags == [1, 3, 5, 7]
