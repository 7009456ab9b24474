"""A batch of observations counts as each of them would alone."""

import threading

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from core.histogram import BulkHistogram

BUCKETS = (0.1, 0.5, 1.0, 10.0)
#: On, between and beyond the bounds.
VALUES = (0.0, 0.1, 0.3, 0.5, 0.50001, 1.0, 9.0, 10.0, 11.0)


def bulk(registry: CollectorRegistry) -> BulkHistogram:
    return BulkHistogram("x_seconds", "X.", ["flow"], buckets=BUCKETS, registry=registry)


def lines(registry: CollectorRegistry) -> list[str]:
    text = generate_latest(registry).decode()
    return sorted(line for line in text.splitlines() if "_created" not in line)


def test_a_batch_is_shown_as_the_library_shows_its_values_one_by_one() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    histogram = bulk(ours)
    histogram.observe_many(VALUES[:4], "a")
    histogram.observe_many(VALUES[4:], "a")
    one_by_one = Histogram("x_seconds", "X.", ["flow"], buckets=BUCKETS, registry=theirs)
    for value in VALUES:
        one_by_one.labels("a").observe(value)

    assert lines(ours) == lines(theirs)


def test_labels_are_counted_apart() -> None:
    registry = CollectorRegistry()
    histogram = bulk(registry)
    histogram.observe_many([0.2], "a")
    histogram.observe_many([0.2, 0.3], "b")

    assert registry.get_sample_value("x_seconds_count", {"flow": "a"}) == 1
    assert registry.get_sample_value("x_seconds_count", {"flow": "b"}) == 2


def test_threads_lose_no_observation() -> None:
    registry = CollectorRegistry()
    histogram = bulk(registry)

    def count() -> None:
        for _ in range(200):
            histogram.observe_many((0.2, 20.0), "a")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert registry.get_sample_value("x_seconds_count", {"flow": "a"}) == 1_600
    assert registry.get_sample_value("x_seconds_sum", {"flow": "a"}) == pytest.approx(800 * 20.2)


def test_a_second_one_of_the_same_name_is_refused() -> None:
    registry = CollectorRegistry()
    bulk(registry)
    with pytest.raises(ValueError, match="x_seconds"):
        bulk(registry)


def test_a_label_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="flow"):
        bulk(CollectorRegistry()).observe_many([1.0])
