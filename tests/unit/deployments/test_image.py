"""The image: its Dockerfile, and what of the checkout gets into it."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from core.version import version
from tests.conftest import ROOT
from tests.support import PATIENCE

DOCKERFILE = (ROOT / "deployments" / "Dockerfile").read_text()
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()

#: Imports everything from the folder given, as `athanor init` does.
_LOAD_ALL = """
import sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
import deployments
from deployments.entrypoint import load_flow
from deployments.project import read_project
from models import revision
assert Path(deployments.__file__).parent == folder / "deployments"
for definition in read_project(folder / "prefect.yaml"):
    load_flow(definition.entrypoint)
print(revision.newest())
"""


def stages() -> list[str]:
    return re.split(r"^(?=FROM )", re.sub(r"\\\n", " ", DOCKERFILE), flags=re.MULTILINE)[1:]


def let_in() -> list[str]:
    return [line[1:] for line in IGNORED if line.startswith("!")]


def test_base_images_have_a_version():
    for stage in stages():
        image = stage.split()[1]
        assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", image)


def test_the_image_that_is_left_builds_nothing_and_is_nobody():
    last = stages()[-1]
    assert not re.search(r"\b(pip|apt-get|gcc|make|uv|curl)\b", last)
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert last.index("USER 10001") > last.rindex("RUN"), "nothing is done after root has left"


def test_packages_are_held_to_their_hashes():
    installs = re.findall(r"pip [^&\n]*? install [^&\n]*", "".join(stages()))
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation" in line


def test_the_image_is_tagged_with_our_version_where_it_says_so():
    assert f"-t athanor:{version()} " in DOCKERFILE


def test_all_packages_of_ours_get_into_the_image():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    rooms = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {room.removesuffix("*") for room in rooms} <= set(let_in())
    assert IGNORED[1] == "*", "nothing else does"


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """The image's /opt/athanor, as the build makes it."""
    folder = tmp_path / "athanor"
    folder.mkdir()
    for name in let_in():
        if "*" in name:
            (folder / Path(name).parent).mkdir(exist_ok=True)
            for source in ROOT.glob(name):
                (folder / source.relative_to(ROOT)).symlink_to(source)
        elif name != "deployments":
            (folder / name).symlink_to(ROOT / name)
    return folder


def test_what_gets_in_is_enough_to_be_made_ready(inside: Path, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-P", "-c", _LOAD_ALL, str(inside)],
        cwd=tmp_path,
        env={**os.environ, "ATHANOR_HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
