"""When a run counts as lost."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from prefect.client.schemas.objects import FlowRun
from prefect.states import Running

from entrypoints.worker.identity import WorkerIdentity
from entrypoints.worker.reconciler import Verdict, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ME = WorkerIdentity(name="me", host="nowhere", namespace="-", pid=1)
OTHER = WorkerIdentity(name="other", host="nowhere", namespace="-", pid=2)


def run(owner: object, *, age: float = 60) -> FlowRun:
    state = Running(timestamp=NOW - timedelta(seconds=age))
    return FlowRun(flow_id=uuid4(), state=state, infrastructure_pid=str(owner) if owner else None)


def verdict(of: FlowRun, *, here: bool = False, online: tuple[str, ...] = ("me",)) -> Verdict:
    return judge(of, me=ME, running_here={of.id} if here else set(), online=online, now=NOW)


def test_a_run_at_work_here_is_alive() -> None:
    assert verdict(run(ME), here=True) is Verdict.ALIVE


def test_a_run_of_a_worker_with_a_heartbeat_is_alive() -> None:
    assert verdict(run(OTHER), online=("me", "other")) is Verdict.ALIVE


def test_a_run_of_a_worker_without_a_heartbeat_is_suspect() -> None:
    assert verdict(run(OTHER)) is Verdict.SUSPECT


def test_a_run_of_mine_that_i_do_not_execute_is_suspect() -> None:
    assert verdict(run(ME)) is Verdict.SUSPECT


def test_a_run_that_nobody_signed_is_suspect() -> None:
    assert verdict(run(None)) is Verdict.SUSPECT


def test_a_run_that_was_claimed_just_now_is_left_alone() -> None:
    assert verdict(run(None, age=1)) is Verdict.ALIVE
    assert verdict(run(OTHER, age=1)) is Verdict.ALIVE


def test_a_run_of_another_kind_of_worker_is_none_of_our_business() -> None:
    assert verdict(run("host:1234")) is Verdict.ALIVE
