"""prefect.yaml, as it is and as it may not be."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.settings import NotifySettings, WorkerSettings
from deployments.project import read_project
from deployments.registry import PROJECT_FILE


def test_the_workers_pool_is_the_one_that_every_deployment_uses() -> None:
    pools = {definition.work_pool.name for definition in read_project(PROJECT_FILE)}

    assert pools == {WorkerSettings().pool}


def test_every_deployment_is_named_after_its_flow_module_and_describes_itself() -> None:
    for definition in read_project(PROJECT_FILE):
        function = definition.name.replace("-", "_")
        assert definition.entrypoint == f"flows/cryoem/{function}.py:{function}"
        assert definition.description.endswith(".")
        assert "cryoem" in definition.tags


def test_the_sweep_is_scheduled_twice_a_minute_and_never_runs_beside_itself() -> None:
    (sweep,) = [d for d in read_project(PROJECT_FILE) if d.name == "sweep"]

    assert [schedule.interval for schedule in sweep.schedules] == [30]
    assert sweep.concurrency_limit is not None
    assert (sweep.concurrency_limit.limit, sweep.concurrency_limit.collision_strategy) == (
        1,
        "CANCEL_NEW",
    )


def test_a_notice_gathers_for_as_long_as_prefect_hears_no_other_event() -> None:
    (notify,) = [d for d in read_project(PROJECT_FILE) if d.name == "notify"]

    assert {(t["threshold"], t["within"]) for t in notify.triggers} == {
        (1, NotifySettings().quiet_seconds)
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        # not YAML
        ("deployments: [", "not as we expect it"),
        # nothing declared
        ("name: athanor", "deployments"),
        # a part of Prefect's format that registering would silently lose
        (
            "deployments: [{name: a, entrypoint: 'a.py:a', description: A., "
            "work_pool: {name: p}, build: []}]",
            "build",
        ),
    ],
)
def test_a_file_that_is_not_understood_is_refused_with_the_reason(
    content: str, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(content)

    with pytest.raises(ConfigurationError, match=reason):
        read_project(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml"):
        read_project(tmp_path / "nowhere.yaml")
