"""Who executes a run, and whether that one is gone."""

import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.worker.identity import WorkerIdentity


def test_what_is_written_on_a_run_is_read_back() -> None:
    identity = WorkerIdentity.of_this_process()

    assert WorkerIdentity.parse(str(identity)) == identity


def test_two_workers_of_one_process_differ() -> None:
    assert WorkerIdentity.of_this_process() != WorkerIdentity.of_this_process()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        # what Prefect's process worker writes
        "host:1234",
        "athanor-worker|name|host|ns",
        "athanor-worker|name|host|ns|not-a-pid",
    ],
)
def test_what_others_write_on_a_run_is_nobody_of_ours(text: str | None) -> None:
    assert WorkerIdentity.parse(text) is None


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    assert WorkerIdentity.parse(text) is None or text.startswith("athanor-worker|")


def test_this_process_is_not_gone() -> None:
    assert not WorkerIdentity.of_this_process().process_is_gone()


def test_an_ended_process_on_this_machine_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert replace(WorkerIdentity.of_this_process(), pid=ended.pid).process_is_gone()


@pytest.mark.parametrize("elsewhere", [{"host": "another"}, {"namespace": "pid:[0]"}])
def test_of_a_process_elsewhere_nobody_here_can_say_that_it_is_gone(
    elsewhere: dict[str, str],
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    identity = replace(WorkerIdentity.of_this_process(), pid=ended.pid, **elsewhere)

    assert not identity.process_is_gone()
