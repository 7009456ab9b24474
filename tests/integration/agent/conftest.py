"""Fixtures of the watcher's tests."""

import re
from pathlib import Path

import pytest

from .rig import copy_tree


@pytest.fixture
def source(shared: Path) -> Path:
    return shared / "epu/dls-2024"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "visit"
    folder.mkdir()
    return folder


@pytest.fixture
def plain(source: Path, tmp_path: Path) -> Path:
    """Return a folder with the session of `source`, which names no atlas."""
    folder = copy_tree(source / "session", tmp_path / "plain/session")
    manifest = folder / "EpuSession.dm"
    atlas = re.compile(rb"<AtlasId.*?</AtlasId>")
    manifest.write_bytes(atlas.sub(b'<AtlasId i:nil="true"/>', manifest.read_bytes()))
    return folder.parent
