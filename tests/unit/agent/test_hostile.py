"""Files that are broken, half written, or meant to harm."""

import contextlib
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.epu.names import Kind, classify
from agent.epu.read import parse_manifest, read_manifest
from core.errors import ManifestIncomplete, ManifestUnreadable

from . import documents as doc

SESSION = "s/EpuSession.dm"
LAUGHS = '<!ENTITY l0 "lol">' + "".join(
    f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12)
)


def refused(data: bytes, reason: str, path: str = SESSION) -> None:
    with pytest.raises(ManifestUnreadable, match=reason) as raised:
        parse_manifest(path, data)
    assert raised.value.path == path
    assert not isinstance(raised.value, ManifestIncomplete)


def test_an_external_entity_is_refused(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("top secret")
    prolog = f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    refused(doc.session("<Name>&x;</Name>", prolog=prolog), "DTD")


def test_an_external_dtd_is_refused_before_it_is_fetched():
    prolog = '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/evil.dtd">'
    refused(doc.session("", prolog=prolog), "DTD")


@pytest.mark.parametrize("use", ["<Name>&l11;</Name>", "<Name x='&l11;'/>"])
def test_a_billion_laughs_cost_nothing(use: str):
    tracemalloc.start()
    refused(doc.session(use, prolog=f"<!DOCTYPE a [{LAUGHS}]>"), "DTD|amplification")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_an_internal_dtd_alone_is_refused():
    refused(doc.session("", prolog='<?xml version="1.0"?><!DOCTYPE EpuSessionXml>'), "DTD")


def test_an_undeclared_entity_is_not_left_out_silently():
    refused(doc.session("<Name>a&x;b</Name>"), "Entity 'x' not defined")


def test_a_huge_depth_is_refused():
    refused(doc.session("<a>" * 50_000 + "</a>" * 50_000), "depth")


def test_a_huge_text_is_refused():
    refused(doc.session("<Name>" + "a" * 11_000_000 + "</Name>"), "too long")


def test_a_file_over_the_limit_is_refused(tmp_path: Path):
    path = tmp_path / "EpuSession.dm"
    data = doc.session("<Name>a</Name>")
    path.write_bytes(data)
    assert read_manifest(path, max_bytes=len(data)) is not None
    with pytest.raises(ManifestUnreadable, match="larger than the limit"):
        read_manifest(path, max_bytes=len(data) - 1)


def test_bytes_that_are_no_utf8_are_refused():
    refused(doc.session("<Name>@</Name>").replace(b"@", b"\xff\xfe\xe9"), "encoding")


@pytest.mark.parametrize(
    "data",
    [
        doc.session("").decode().encode("utf-16"),
        b"hello world",
        b"\x89PNG\r\n\x1a\n",
    ],
)
def test_what_is_no_xml_is_refused(data: bytes):
    refused(data, "is not XML")


@pytest.mark.parametrize(
    "tail", [b"x", b"<EpuSessionXml/>", b"\xff", b"&"], ids=["text", "element", "byte", "amp"]
)
def test_content_after_the_end_is_refused(tail: bytes):
    with pytest.raises(ManifestUnreadable):
        parse_manifest(SESSION, doc.session("<Name>a</Name>") + tail)


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef", b"\xef\xbb\xbf", b"\0" * 4096])
def test_a_file_without_content_yet_is_incomplete(data: bytes):
    with pytest.raises(ManifestIncomplete):
        parse_manifest(SESSION, data)


def test_a_file_that_was_allocated_but_not_filled_is_incomplete():
    whole = doc.session("<Name>a name</Name>")
    with pytest.raises(ManifestIncomplete, match="zero bytes"):
        parse_manifest(SESSION, whole[:80] + b"\0" * (len(whole) - 80))


def test_a_byte_order_mark_does_no_harm():
    manifest = parse_manifest(SESSION, b"\xef\xbb\xbf" + doc.session("<Name>a</Name>"))
    assert manifest.name == "a"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None], ids=["folder", "absent"])
def test_what_cannot_be_opened_is_an_error_of_ours(tmp_path: Path, make):
    path = tmp_path / "EpuSession.dm"
    make(path)
    with pytest.raises(ManifestUnreadable, match="cannot be read") as raised:
        read_manifest(path)
    assert raised.value.path == str(path)


@pytest.mark.skipif(
    os.geteuid() == 0, reason="needs a user other than root, whom no file is closed to"
)
def test_a_forbidden_file_is_an_error_of_ours(tmp_path: Path):
    path = tmp_path / "EpuSession.dm"
    path.write_bytes(b"")
    path.chmod(0)
    with pytest.raises(ManifestUnreadable, match="cannot be read"):
        read_manifest(path)


WHOLE = {
    SESSION: doc.session(
        "<Name>a &amp; \u00e9</Name><StartDateTime>2024-01-01T00:00:00Z</StartDateTime>"
    ),
    "s/Metadata/GridSquare_7.dm": doc.square(
        "".join(doc.hole(str(n), f'<State z:Id="{n}">Defined</State>') for n in range(5))
    ),
    "a/Atlas.dm": doc.atlas("".join(doc.tile(str(n), doc.node(n, str(n))) for n in range(3))),
    "s/GridSquare_7/GridSquare_20240406_102420.xml": doc.optics("<Defocus>-1E-6</Defocus>"),
}


@pytest.mark.parametrize("path", WHOLE)
@pytest.mark.parametrize("prolog", [b"", b'<?xml version="1.0"?>\n<!-- a comment -->\n'])
def test_a_document_cut_at_any_byte_is_incomplete(path: str, prolog: bytes):
    whole = prolog + WHOLE[path]
    parse_manifest(path, whole)
    for end in range(len(whole)):
        with pytest.raises(ManifestIncomplete):
            parse_manifest(path, whole[:end])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_gives_our_error_or_a_value_but_no_other_error(data: st.DataObject):
    path = data.draw(st.sampled_from(sorted(WHOLE)))
    whole = bytearray(WHOLE[path])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=6))
    with contextlib.suppress(ManifestUnreadable):
        parse_manifest(path, bytes(whole))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(sorted(WHOLE)))
def test_noise_gives_our_error(noise: bytes, path: str):
    with pytest.raises(ManifestUnreadable):
        parse_manifest(path, noise)


def test_an_id_beyond_64_bits_makes_the_file_unreadable_and_names_the_field():
    path = "s/Metadata/GridSquare_1.dm"
    refused(doc.square(doc.hole(str(10**20), "")), "key is", path=path)


def test_a_name_with_an_absurd_id_is_no_epu_file():
    name = f"FoilHole_{10**20}_20240101_101010.xml"
    assert classify(f"s/Images-Disc1/GridSquare_1/FoilHoles/{name}").kind is Kind.OTHER
    assert classify(f"s/Metadata/GridSquare_{10**20}.dm").kind is Kind.OTHER
