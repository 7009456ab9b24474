"""Archives that somebody made to do harm, or that were harmed."""

import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.recorder.archive import unpack
from agent.recorder.reading import opened
from core.errors import RecordingRefused, StorageUnavailable
from tests.unit.agent.recorder.handmade import archive, document, files_of, member, text

GOOD = member("recording.json", document([text("created", "a", "x")]))


@pytest.mark.parametrize(
    ("name", "attributes", "reason"),
    [
        ("/etc/passwd", {}, "absolute"),
        ("../escaped", {}, "climbs"),
        ("chunks/../../escaped", {}, "climbs"),
        ("chunks\\chunk_1.bin", {}, "backslash"),
        ("C:/chunk_1.bin", {}, "drive"),
        ("chunks/link.bin", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "link"),
        ("chunks/chunk_1.bin", {"type": tarfile.SYMTYPE, "linkname": "../../x"}, "link"),
        ("chunks/chunk_1.bin", {"type": tarfile.LNKTYPE, "linkname": "recording.json"}, "link"),
        ("chunks/chunk_1.bin", {"type": tarfile.CHRTYPE}, "device"),
        ("chunks/chunk_1.bin", {"type": tarfile.BLKTYPE}, "device"),
        ("chunks/chunk_1.bin", {"type": tarfile.FIFOTYPE}, "device"),
        ("chunks", {"type": tarfile.SYMTYPE, "linkname": ".."}, "link"),
        ("chunks/sub/chunk_1.bin", {}, "does not belong"),
        ("chunks/evil.exe", {}, "does not belong"),
        ("other.json", {}, "does not belong"),
        ("recording.json/x", {}, "does not belong"),
        ("sub", {"type": tarfile.DIRTYPE}, "does not belong"),
    ],
)
def test_a_member_that_is_no_part_of_a_recording_is_refused(
    tmp_path: Path, name: str, attributes: dict[str, Any], reason: str
):
    made = archive(tmp_path / "x.tar.gz", GOOD, member(name, **attributes))
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(RecordingRefused, match=reason):
        unpack(made, target)
    assert files_of(tmp_path).keys() <= {"x.tar.gz", "deep/target/recording.json"}


@given(name=st.text(st.sampled_from("./\\:abchunks_1in\0é"), min_size=1, max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_member_lands_outside_whatever_its_name(tmp_path: Path, name: str):
    made = archive(tmp_path / "x.tar.gz", GOOD, member(name, b"harm"))
    try:
        with opened(made) as recording:
            found = files_of(recording.folder)
    except RecordingRefused:
        found = {}
    assert found.keys() <= {"recording.json", "chunks/chunk_1.bin", "chunks/chunk_11.bin"}
    assert files_of(tmp_path).keys() == {"x.tar.gz"}


def test_a_member_that_comes_twice_is_refused(tmp_path: Path):
    made = archive(tmp_path / "x.tar.gz", GOOD, GOOD)
    with pytest.raises(RecordingRefused, match="twice"), opened(made):
        pass


def test_an_archive_packed_again_with_its_folders_is_a_recording(tmp_path: Path):
    made = archive(
        tmp_path / "x.tar.gz",
        member(".", type=tarfile.DIRTYPE),
        member("./chunks", type=tarfile.DIRTYPE),
        member("./chunks/chunk_0.bin", b"0"),
        member("./recording.json", GOOD[1]),
    )
    with opened(made) as recording:
        assert recording.chunk("chunk_0").read_bytes() == b"0"
        assert len(list(recording.events())) == 1


@pytest.mark.parametrize("zeros", [1 << 20, 40 << 20])
def test_what_unpacks_to_too_much_is_refused_before_it_does(tmp_path: Path, zeros: int):
    made = archive(tmp_path / "x.tar.gz", GOOD, member("chunks/chunk_0.bin", bytes(zeros)))
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(RecordingRefused, match="--max-bytes"):
        unpack(made, target, max_bytes=500_000)
    assert sum(len(content) for content in files_of(target).values()) <= 500_000


def test_garbage_after_the_archive_counts_too(tmp_path: Path):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(GOOD[0], io.BytesIO(GOOD[1]))
    made = tmp_path / "x.tar.gz"
    made.write_bytes(gzip.compress(plain.getvalue() + bytes(10 << 20)))
    with pytest.raises(RecordingRefused, match="--max-bytes"), opened(made, max_bytes=1 << 20):
        pass


def test_a_name_as_long_as_memory_is_refused(tmp_path: Path):
    info, content = member("././@LongLink", b"a" * (1 << 20), type=tarfile.GNUTYPE_LONGNAME)
    made = archive(tmp_path / "x.tar.gz", (info, content), GOOD)
    with pytest.raises(RecordingRefused, match="too long"), opened(made):
        pass


def test_a_size_below_zero_ends_at_once(tmp_path: Path):
    info, _ = member("chunks/chunk_0.bin")
    header = bytearray(info.tobuf(format=tarfile.GNU_FORMAT))
    header[124:136] = (256**12 - 512).to_bytes(12, "big")  # base 256, two's complement: -512
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    made = tmp_path / "x.tar.gz"
    made.write_bytes(gzip.compress(bytes(header) + bytes(1024)))
    with pytest.raises(RecordingRefused, match="below zero"), opened(made):
        pass


def _good_archive(folder: Path) -> bytes:
    chunk = member("chunks/chunk_0.bin", os.urandom(100_000))
    return archive(folder / "good.tar.gz", GOOD, chunk).read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_an_archive_that_is_cut_off_is_refused(tmp_path: Path, share: float):
    good = _good_archive(tmp_path)
    made = tmp_path / "cut.tar.gz"
    made.write_bytes(good[: int(len(good) * share)])
    with pytest.raises(RecordingRefused, match=r"damaged|no recording"), opened(made):
        pass


@given(at=st.integers(30, 100_000), to=st.integers(0, 255))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30
)
def test_one_wrong_byte_is_told_or_harmless(tmp_path: Path, at: int, to: int):
    good = _good_archive(tmp_path)
    made = tmp_path / "tampered.tar.gz"
    made.write_bytes(good[:at] + bytes([to]) + good[at + 1 :])
    try:
        with opened(made) as recording:
            assert len(list(recording.events())) == 1
    except RecordingRefused:
        pass
    else:
        assert good[at] == to


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar" * 200, mtime=0)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes):
    made = tmp_path / "x.tar.gz"
    made.write_bytes(content)
    with pytest.raises(RecordingRefused), opened(made):
        pass


def test_an_archive_without_recording_json_is_refused(tmp_path: Path):
    made = archive(tmp_path / "x.tar.gz", member("chunks/chunk_0.bin", b"x"))
    with pytest.raises(RecordingRefused, match=r"no recording\.json"), opened(made):
        pass


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(StorageUnavailable, match="No such file"), opened(tmp_path / "x"):
        pass
