"""The Kubernetes manifests, as `kubectl kustomize` puts them together."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate.utils import validate

from core.version import version
from tests.compose import read_env
from tests.conftest import ROOT
from tests.support import PATIENCE
from tests.unit.deployments import known

FOLDER = ROOT / "deployments" / "kubernetes"
BASE = FOLDER / "base"
OVERLAYS = sorted(path.name for path in (FOLDER / "overlays").iterdir())
#: The oldest Kubernetes that we look at, and the newest whose schemas the tests have.
VERSIONS = ("1.31", "1.37")

Manifest = dict[str, Any]

needs_kustomize = pytest.mark.skipif(
    not shutil.which("kubectl"), reason="needs kubectl, which brings kustomize"
)


@cache
def built(overlay: str) -> list[Manifest]:
    """Return the resources of an overlay."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def example(overlay: str) -> list[Manifest]:
    """Return the example of an overlay's secrets."""
    text = (FOLDER / "overlays" / overlay / "secrets.example.yaml").read_text()
    return list(yaml.safe_load_all(text))


def of_kind(overlay: str, *kinds: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in built(overlay) if one["kind"] in kinds}


def workloads(overlay: str) -> dict[str, Manifest]:
    return of_kind(overlay, "Deployment", "StatefulSet", "Job")


def pod(workload: Manifest) -> dict[str, Any]:
    return workload["spec"]["template"]["spec"]


def containers(workload: Manifest) -> list[dict[str, Any]]:
    return [*pod(workload).get("initContainers", []), *pod(workload)["containers"]]


def is_ours(container: dict[str, Any]) -> bool:
    return "athanor:" in container["image"]


def variables(overlay: str, container: dict[str, Any]) -> dict[str, str]:
    """Return what a container finds in its environment, where secrets are the example's."""
    maps = of_kind(overlay, "ConfigMap")
    secrets = {one["metadata"]["name"]: one["stringData"] for one in example(overlay)}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]["data"]
        else:
            found |= secrets[source["secretRef"]["name"]]
    for one in container.get("env", []):
        reference = one.get("valueFrom", {}).get("secretKeyRef")
        found[one["name"]] = (
            secrets[reference["name"]][reference["key"]] if reference else one["value"]
        )
    return found


# Without kustomize


def files() -> Iterator[Path]:
    for path in sorted(FOLDER.rglob("*.yaml")):
        if path.name not in {"kustomization.yaml", "hardened.yaml", "waiting.yaml", "spread.yaml"}:
            yield path


@pytest.mark.parametrize("path", list(files()), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_each_file_is_as_kubernetes_has_it(path: Path):
    for manifest in yaml.safe_load_all(path.read_text()):
        validate(manifest, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("kustomization.yaml")))
def test_kustomizations_name_each_file_beside_them(path: Path):
    content = yaml.safe_load(path.read_text())
    named = {one for one in content["resources"] if not one.startswith("../")}
    named |= {one["path"] for one in content.get("patches", []) if "path" in one}
    named |= {file for one in content["configMapGenerator"] for file in one.get("envs", [])}
    beside = {one.name for one in path.parent.iterdir()} - {path.name, "secrets.example.yaml"}
    assert named == beside


def test_prefects_server_is_set_as_athanor_up_sets_it():
    environment = read_env(BASE / "prefect-server.env")
    assert {key: environment.get(key) for key in known.SERVER_DEFAULTS} == known.SERVER_DEFAULTS


# As an overlay is built


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("release", VERSIONS)
def test_an_overlay_is_as_kubernetes_has_it(overlay: str, release: str):
    for manifest in built(overlay):
        validate(manifest, release, strict=True)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_in_one_namespace(overlay: str):
    named = {
        one["metadata"].get("namespace") for one in built(overlay) if one["kind"] != "Namespace"
    }
    named |= {one["metadata"]["namespace"] for one in example(overlay)}
    assert named == {"athanor"}


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_commands_are_real(overlay: str):
    commands = {
        tuple(container["command"])
        for workload in workloads(overlay).values()
        for container in containers(workload)
        if is_ours(container)
    }
    assert len(commands) == 8
    for command in commands:
        known.check_command(command)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_variables_are_read_by_somebody_and_references_lead_somewhere(overlay: str):
    for workload in workloads(overlay).values():
        for container in containers(workload):
            assert set(variables(overlay, container)) - known.VARIABLES == set()


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_our_pods_know_athena_and_the_services(overlay: str):
    needed = {
        *("ATHANOR_DATABASE_URL", "ATHANOR_RABBITMQ__URL", "ATHANOR_ATHENA__URL"),
        *("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"),
    }
    for name in ("athanor-init", "api", "worker", "sensor"):
        for container in containers(workloads(overlay)[name]):
            assert needed <= set(variables(overlay, container))


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_runs_as_root_or_may_become_it(overlay: str):
    for workload in workloads(overlay).values():
        assert pod(workload)["securityContext"]["runAsNonRoot"]
        assert pod(workload)["securityContext"]["runAsUser"] > 0
        assert pod(workload)["automountServiceAccountToken"] is False
        for container in containers(workload):
            allowed = container["securityContext"]
            assert allowed["allowPrivilegeEscalation"] is False
            assert allowed["capabilities"] == {"drop": ["ALL"]}
            assert allowed.get("readOnlyRootFilesystem", False) is is_ours(container)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_have_a_version_and_ours_has_ours(overlay: str):
    for workload in workloads(overlay).values():
        for container in containers(workload):
            tag = container["image"].rpartition(":")[2]
            assert re.match(r"\d+\.\d+", tag)
            assert tag == version() or not is_ours(container)


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_say_what_they_need_and_have_a_bound(overlay: str):
    for workload in workloads(overlay).values():
        for container in containers(workload):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_at_a_port_that_there_is(overlay: str):
    for name, workload in of_kind(overlay, "Deployment", "StatefulSet").items():
        (container,) = pod(workload)["containers"]
        ports = {one["name"] for one in container.get("ports", [])}
        probes = [value for key, value in container.items() if key.endswith("Probe")]
        assert probes or name == "prefect-services", "it listens nowhere"
        for probe in probes:
            asked = probe.get("httpGet") or probe.get("tcpSocket")
            assert asked is None or asked["port"] in ports
            if is_ours(container) and "exec" in probe:
                known.check_command(probe["exec"]["command"])


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_choose_pods_that_there_are(overlay: str):
    labels = {
        name: workload["spec"]["template"]["metadata"]["labels"]
        for name, workload in workloads(overlay).items()
    }

    def chosen(selector: dict[str, str]) -> list[str]:
        return [name for name, given in labels.items() if selector.items() <= given.items()]

    for name, workload in of_kind(overlay, "Deployment", "StatefulSet").items():
        assert chosen(workload["spec"]["selector"]["matchLabels"]) == [name]
    for name, service in of_kind(overlay, "Service").items():
        assert chosen(service["spec"]["selector"]) == [name]
    for name, budget in of_kind(overlay, "PodDisruptionBudget").items():
        assert chosen(budget["spec"]["selector"]["matchLabels"]) == [name]
    for name, scaler in of_kind(overlay, "HorizontalPodAutoscaler").items():
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in workloads(overlay)[name]["spec"], "two would decide on it"
    for policy in of_kind(overlay, "NetworkPolicy").values():
        selector = policy["spec"]["podSelector"]
        if "matchLabels" in selector:
            assert chosen(selector["matchLabels"])
        for expression in selector.get("matchExpressions", []):
            for value in expression["values"]:
                assert chosen({expression["key"]: value})


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_addresses_within_the_cluster_are_those_of_services(overlay: str):
    services = {
        f"{name}:{port['port']}"
        for name, service in of_kind(overlay, "Service").items()
        for port in service["spec"]["ports"]
    }
    for workload in workloads(overlay).values():
        for container in containers(workload):
            for name, value in variables(overlay, container).items():
                for address in re.findall(r"//(?:[^@/]*@)?([^/?]+)", value):
                    outside = "." in address.split(":")[0]
                    assert outside or address in services, name


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_worker_gets_the_time_that_it_takes_to_leave(overlay: str):
    grace = pod(workloads(overlay)["worker"])["terminationGracePeriodSeconds"]
    assert grace > known.WORKER_LEAVES


@needs_kustomize
def test_a_facility_can_lose_a_machine():
    deployments = of_kind("facility", "Deployment")
    scaled = of_kind("facility", "HorizontalPodAutoscaler")
    for name, deployment in deployments.items():
        least = scaled[name]["spec"]["minReplicas"] if name in scaled else None
        assert (least or deployment["spec"]["replicas"]) >= 2
        assert pod(deployment)["topologySpreadConstraints"]
    assert set(of_kind("facility", "PodDisruptionBudget")) == set(deployments)
    assert of_kind("facility", "StatefulSet") == {}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_committed(overlay: str):
    for secret in example(overlay):
        for name, value in secret["stringData"].items():
            assert value == "" or "change-me" in value, name
