from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.path_map import PathMap

ATLAS = r"Z:\nt32457-6\atlas\Sample4\Atlas\Atlas.dm"


@pytest.mark.parametrize(
    "pair",
    [
        r"Z:\nt32457-6=/data/visit",
        r"z:\NT32457-6\=/data/visit",
        "Z:/nt32457-6=/data/visit/",
    ],
)
def test_a_prefix_becomes_the_local_folder(pair: str):
    local = PathMap.parse([pair]).to_local(ATLAS)
    assert local == Path("/data/visit/atlas/Sample4/Atlas/Atlas.dm")


def test_the_longest_prefix_wins():
    paths = PathMap.parse([r"Z:=/data", r"Z:\nt32457-6\atlas=/atlases"])
    assert paths.to_local(ATLAS) == Path("/atlases/Sample4/Atlas/Atlas.dm")
    assert paths.to_local(r"Z:\other\x") == Path("/data/other/x")


def test_a_prefix_ends_at_a_folder():
    with pytest.raises(ConfigurationError):
        PathMap.parse([r"Z:\nt32457=/data"]).to_local(ATLAS)


def test_a_network_share_is_a_prefix():
    paths = PathMap.parse([r"\\server\share=/mnt"])
    assert paths.to_local(r"\\SERVER\Share\a\b") == Path("/mnt/a/b")


def test_a_local_path_needs_no_map():
    assert PathMap().to_local("/data/Atlas.dm") == Path("/data/Atlas.dm")


def test_an_unmapped_path_teaches_how_to_map_it():
    with pytest.raises(ConfigurationError) as raised:
        PathMap.parse([r"Y:\a=/b"]).to_local(ATLAS)
    text = str(raised.value)
    assert ATLAS in text
    assert "--path-map" in text
    assert r"y:\a" in text


@pytest.mark.parametrize("pair", ["", "Z:", "=/data", "Z:=", "Z:\\a = "])
def test_a_pair_that_is_no_pair_is_refused(pair: str):
    with pytest.raises(ConfigurationError, match="not understood"):
        PathMap.parse([pair])


def test_a_path_may_not_climb_out():
    with pytest.raises(ConfigurationError, match="climbs"):
        PathMap.parse(["Z:=/data"]).to_local(r"Z:\..\..\etc\passwd")
