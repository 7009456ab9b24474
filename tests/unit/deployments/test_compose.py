"""The Compose file: what it says is possible, complete and safe."""

import importlib.resources
import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from core.version import version
from tests import compose
from tests.conftest import ROOT
from tests.unit.deployments import known

DOCUMENT: dict[str, Any] = yaml.safe_load(compose.FILE.read_text())
WRITTEN: dict[str, Any] = DOCUMENT["services"]
SERVICES = compose.services({**compose.example(), "PREFECT_ENCRYPTION_KEY": "key"})
OURS = sorted(name for name, service in SERVICES.items() if service["image"].startswith("athanor:"))
JOBS = {"prefect-migrate", "athanor-init"}
#: They listen nowhere, so nothing can be asked of them from outside.
SILENT = {"prefect-services", "athena"}


def test_the_file_is_as_the_compose_specification_has_it():
    package = importlib.resources.files("check_jsonschema")
    schema = json.loads(
        (package / "builtin_schemas" / "vendor" / "compose-spec.json").read_text("utf-8")
    )
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(DOCUMENT)] == []


def test_all_parts_of_a_facility_are_there():
    assert set(WRITTEN) == {
        *("postgres", "redis", "rabbitmq"),
        *("prefect-migrate", "prefect-api", "prefect-services"),
        *("athanor-init", "api", "worker", "sensor", "athena"),
    }


@pytest.mark.parametrize("name", OURS)
def test_commands_are_real(name: str):
    known.check_command(SERVICES[name]["command"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_variables_are_read_by_somebody(name: str):
    assert set(SERVICES[name].get("environment", {})) - known.VARIABLES == set()


@pytest.mark.parametrize("name", ["prefect-migrate", "prefect-api", "prefect-services"])
def test_prefects_server_is_set_as_athanor_up_sets_it(name: str):
    environment = SERVICES[name]["environment"]
    assert {key: environment.get(key) for key in known.SERVER_DEFAULTS} == known.SERVER_DEFAULTS


def test_a_worker_gets_the_time_that_it_takes_to_leave():
    grace = SERVICES["worker"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > known.WORKER_LEAVES


@pytest.mark.parametrize(
    "path",
    ["deployments/compose.yaml", "deployments/kubernetes/base/worker.yaml", "docs/operate.md"],
)
def test_people_are_told_how_long_a_worker_takes_to_leave(path: str):
    assert f" {known.WORKER_LEAVES:g} s" in (ROOT / path).read_text()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_images_have_a_version(name: str):
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert re.match(r"\d+\.\d+", tag)


def test_our_image_has_our_version():
    assert {SERVICES[name]["image"] for name in OURS} == {f"athanor:{version()}"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_runs_as_root_or_may_become_it(name: str):
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name in OURS:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "user" not in service, "the image's own user"
    else:
        assert service["user"].split(":")[0] != "0"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - JOBS - SILENT))
def test_services_are_asked_for_their_health(name: str):
    kind, *test = SERVICES[name]["healthcheck"]["test"]
    assert kind in {"CMD", "CMD-SHELL"}
    if test[0] == "athanor":
        known.check_command(test)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_services_come_back_after_a_crash_and_jobs_end(name: str):
    wanted = "on-failure:5" if name in JOBS else "unless-stopped"
    assert SERVICES[name]["restart"] == wanted


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_dependencies_are_waited_for_until_they_are_of_use(name: str):
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        assert needed in SERVICES
        if needed in JOBS:
            assert how["condition"] == "service_completed_successfully"
        else:
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in SERVICES[needed]


def test_dependencies_are_no_circle():
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...] = ()) -> None:
        assert name not in path, path
        for needed in SERVICES[name].get("depends_on", {}):
            visit(needed, (*path, name))
        order.append(name)

    for name in SERVICES:
        visit(name)
    assert order.index("athanor-init") < order.index("worker")


def test_every_secret_must_be_set():
    for name, value in compose.example().items():
        if not any(word in name for word in ("PASSWORD", "AUTH", "KEY", "SECRET")):
            continue
        without = {**compose.example(), "PREFECT_ENCRYPTION_KEY": "key", name: ""}
        with pytest.raises(compose.UnsetVariable, match=name):
            compose.services(without)
        assert value in {"", "change-me", "athanor:change-me"}, "no secret is committed"


def test_the_example_names_each_variable_and_no_other():
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", compose.FILE.read_text()))
    assert used == set(compose.example())


def test_passwords_stand_on_no_command_line():
    secret = {**compose.example(), "PREFECT_ENCRYPTION_KEY": "SECRET", "PREFECT_AUTH": "SECRET"}
    secret |= {name: "SECRET" for name in secret if name.endswith("_PASSWORD")}
    for name, service in compose.services(secret).items():
        assert "SECRET" not in json.dumps([service.get("command"), service.get("healthcheck")]), (
            name
        )


def test_only_this_machine_is_listened_on_unless_said_otherwise():
    for service in compose.services({**compose.example(), "PREFECT_ENCRYPTION_KEY": "k"}).values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_named_volumes_and_mounted_files_exist():
    for service in WRITTEN.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (compose.FILE.parent / source).is_file()
            else:
                assert source in DOCUMENT["volumes"]
