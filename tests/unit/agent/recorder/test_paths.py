import os
import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.recorder.paths import UnsafePath, locate, safe_parts

_PIECES = st.sampled_from(
    ["..", ".", "", "a", "b c", "…", "C:", "c:x", "\\", "\\\\", "nul", "NUL.dm", "~", "x" * 256]
)
_PATHS = st.one_of(
    st.lists(_PIECES, max_size=6).map("/".join),
    st.text(alphabet=string.ascii_letters + "./\\: ~\x00\n", max_size=40),
    st.text(max_size=20),
)


@given(text=_PATHS, backslashes=st.booleans(), windows=st.booleans())
def test_no_path_leaves_the_folder(text: str, backslashes: bool, windows: bool):
    root = Path(os.path.realpath(tempfile.gettempdir())) / "recorder-root"
    try:
        path = locate(root, safe_parts(text, backslashes=backslashes, windows=windows))
    except UnsafePath:
        return
    assert Path(os.path.normpath(path)).is_relative_to(root)
    assert ".." not in path.parts
    assert not any(sign in part for part in path.relative_to(root).parts for sign in "\\\0\n")


@given(parts=st.lists(st.text("abcXYZ019_-é ", min_size=1, max_size=20), min_size=1, max_size=8))
def test_an_ordinary_path_stays_as_it_is(parts: list[str]):
    assert safe_parts("/".join(parts), windows=False) == tuple(parts)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("/etc/passwd", "absolute"),
        ("//server/share", "absolute"),
        ("../x", "climbs"),
        ("a/../../x", "climbs"),
        ("C:/Windows", "drive letter"),
        ("c:x", "drive letter"),
        ("a\\..\\x", "backslash"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("\udcff", "Unicode"),
        ("x" * 300, "255 bytes"),
        ("é" * 200, "255 bytes"),
        ("a/" * 3000, "longer"),
    ],
)
def test_an_unsafe_path_is_refused_with_its_reason(text: str, reason: str):
    with pytest.raises(UnsafePath, match=reason):
        safe_parts(text, windows=False)


@pytest.mark.parametrize(
    "name",
    ["con", "NUL.txt", "Com1", "lpt9.tar.gz", "CONIN$", "aux .dm", "a:stream", "a?", "a.", "a "],
)
def test_what_windows_cannot_hold_is_refused_there_alone(name: str):
    with pytest.raises(UnsafePath):
        safe_parts(f"folder/{name}/x", windows=True)
    assert safe_parts(f"folder/{name}/x", windows=False) == ("folder", name, "x")


def test_a_recording_from_windows_may_use_its_own_separators():
    assert safe_parts("a\\b/c", backslashes=True) == ("a", "b", "c")
    for unsafe in ("\\a", "\\\\server\\share", "a\\..\\..", "C:\\x"):
        with pytest.raises(UnsafePath):
            safe_parts(unsafe, backslashes=True)


@pytest.mark.parametrize("text", [".", "./", "././"])
def test_the_folder_itself_has_no_parts(text: str):
    assert safe_parts(text) == ()


def test_a_link_in_the_target_leads_nowhere(tmp_path: Path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "way-out").symlink_to(outside, target_is_directory=True)
    (root / "file").symlink_to(outside / "file")
    with pytest.raises(UnsafePath, match="outside"):
        locate(root, ("way-out", "x"))
    with pytest.raises(UnsafePath, match="link"):
        locate(root, ("file",))
