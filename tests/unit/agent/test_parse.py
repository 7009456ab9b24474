"""What the parsers make of documents in EPU's style that the real files do not show."""

from datetime import UTC, datetime

import pytest

from agent.epu.read import parse_manifest
from core.errors import ManifestUnreadable
from domains.cryoem.manifests import AtlasManifest, EpuSession, ImageManifest, SquareManifest

from . import documents as doc

SESSION = "s/EpuSession.dm"
SQUARE = "s/Metadata/GridSquare_7.dm"
ATLAS = "a/Atlas.dm"
IMAGE = "s/GridSquare_7/GridSquare_20240406_102420.xml"


def session(content: str, namespace: str = doc.EPU) -> EpuSession:
    manifest = parse_manifest(SESSION, doc.session(content, namespace))
    assert isinstance(manifest, EpuSession)
    return manifest


def square(data: bytes, path: str = SQUARE) -> SquareManifest:
    manifest = parse_manifest(path, data)
    assert isinstance(manifest, SquareManifest)
    return manifest


def image(data: bytes) -> ImageManifest:
    manifest = parse_manifest(IMAGE, data)
    assert isinstance(manifest, ImageManifest)
    return manifest


def atlas(data: bytes) -> AtlasManifest:
    manifest = parse_manifest(ATLAS, data)
    assert isinstance(manifest, AtlasManifest)
    return manifest


def test_what_is_missing_is_none():
    assert session("") == EpuSession(epu_id=None, name=None, started_at=None)
    assert image(doc.image("")) == ImageManifest(unique_id=None, acquired_at=None)
    assert square(doc.square("")) == SquareManifest(square_id=7)


def test_the_namespace_of_epu_1_is_read():
    assert session("<Name>old</Name>", doc.EPU_1).name == "old"
    found = square(doc.square(doc.hole("1", ""), namespace=doc.EPU_1))
    assert [hole.hole_id for hole in found.holes] == [1]


def test_holes_of_a_lacey_grid_are_found():
    found = square(doc.square(doc.hole("1", ""), where="TargetLocations"))
    assert [hole.hole_id for hole in found.holes] == [1]


def test_the_hash_in_the_element_name_does_not_matter():
    holes = doc.hole("1", "", "aaaa") + doc.hole("2", "", "") + doc.hole("3", "", "_P")
    assert [hole.hole_id for hole in square(doc.square(holes)).holes] == [1, 2, 3]


def test_nil_padding_is_no_hole():
    padding = '<b:KeyValuePairOfintTargetLocationXmlX i:nil="true"/>'
    found = square(doc.square(padding + doc.hole("1", "") + padding))
    assert [hole.hole_id for hole in found.holes] == [1]


def test_a_hole_that_is_listed_twice_is_one_hole_as_listed_last():
    holes = doc.hole("1", "<State>Defined</State>") + doc.hole("1", "<State>Completed</State>")
    assert [hole.state for hole in square(doc.square(holes)).holes] == ["Completed"]


def test_a_square_without_id_has_that_of_its_file_name():
    assert square(doc.square("", ident="")).square_id == 7


def test_a_reference_gives_the_value_that_it_names():
    found = session(
        '<Name z:Ref="9" i:nil="true"/><Other z:Id="9">the name</Other>'
        '<ClusteringMode z:Ref="404" i:nil="true"/>'
    )
    assert found.name == "the name"
    assert found.clustering_mode is None


def test_a_reference_finds_what_streaming_has_forgotten():
    holes = (
        doc.hole("1", '<State z:Id="5">Completed</State>')
        + doc.hole("2", '<State z:Ref="5" i:nil="true"/>')
        + doc.hole("3", "<State/>")
    )
    found = square(doc.square(holes, more='<GridSquareImagePath z:Ref="5" i:nil="true"/>'))
    assert [hole.state for hole in found.holes] == ["Completed", "Completed", None]
    assert found.image_path == "Completed"


def test_references_in_a_circle_end():
    assert session('<Name z:Id="1" z:Ref="2"/><Other z:Id="2" z:Ref="1"/>').name is None


@pytest.mark.parametrize("text", ["NaN", "INF", "-INF", "1E999", "-1E999", "", "   "])
def test_a_number_that_is_not_finite_was_not_measured(text: str):
    assert image(doc.optics(f"<Defocus>{text}</Defocus>")).defocus is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("-4.9E-05", -4.9e-05), (" 1 ", 1.0), (".5", 0.5), ("5.", 5.0), ("1E-999", 0.0)],
)
def test_a_number_is_read_as_xml_schema_writes_it(text: str, value: float):
    assert image(doc.optics(f"<Defocus>{text}</Defocus>")).defocus == value


@pytest.mark.parametrize("text", ["1,5", "1_000", "abc", "0x10", "infinity", "\u0661"])
def test_a_number_that_is_none_is_an_error_that_names_it(text: str):
    with pytest.raises(ManifestUnreadable, match=r"Defocus is .* not a number"):
        image(doc.optics(f"<Defocus>{text}</Defocus>"))


@pytest.mark.parametrize("text", ["9" * 19, "9" * 10_000, "1.5", "x"])
def test_an_id_that_cannot_be_stored_is_refused(text: str):
    with pytest.raises(ManifestUnreadable, match="not a whole number"):
        square(doc.square(doc.hole(text, "")))


def test_a_hole_without_key_is_refused():
    with pytest.raises(ManifestUnreadable, match="lacks key"):
        square(doc.square(doc.hole("", "<State>Defined</State>")))


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("0", False)])
def test_truth_is_read_as_xml_schema_writes_it(text: str, value: bool):
    assert image(doc.optics(f"<EFTEMOn>{text}</EFTEMOn>")).is_eftem is value


def test_other_truth_is_refused():
    with pytest.raises(ManifestUnreadable, match="true or false"):
        image(doc.optics("<EFTEMOn>yes</EFTEMOn>"))


def test_a_time_is_in_utc():
    found = session("<StartDateTime>2024-04-05T12:36:47.2285448+01:00</StartDateTime>")
    assert found.started_at == datetime(2024, 4, 5, 11, 36, 47, 228544, tzinfo=UTC)
    assert found.started_at is not None
    assert found.started_at.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        # names no instant
        "2024-04-05T12:36:47",
        # .NET's "never"
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59.9999999-01:00",
    ],
)
def test_a_time_that_names_no_instant_is_none(text: str):
    assert session(f"<StartDateTime>{text}</StartDateTime>").started_at is None


def test_a_time_that_is_none_is_refused():
    with pytest.raises(ManifestUnreadable, match="not a time"):
        session("<StartDateTime>yesterday</StartDateTime>")


def test_half_a_point_is_no_point():
    target = f'<PixelCenter><x xmlns="{doc.DRAWING}">3</x></PixelCenter>'
    assert square(doc.square(doc.hole("1", target))).holes[0].pixel_center is None


def test_one_stage_axis_is_a_position():
    target = f'<StagePosition><X xmlns="{doc.SHARED}">3E-6</X></StagePosition>'
    position = square(doc.square(doc.hole("1", target))).holes[0].stage_position
    assert position is not None
    assert (position.x, position.y) == (3e-6, None)


def test_a_square_that_is_on_two_tiles_is_one_square():
    found = atlas(
        doc.atlas(
            doc.tile("10", doc.node(1, "10"), doc.node(2, "10")) + doc.tile("11", doc.node(1, "11"))
        )
    )
    assert [(s.square_id, [t.tile_id for t in s.tiles]) for s in found.squares] == [
        (1, ["10", "11"]),
        (2, ["10"]),
    ]
    assert [tile.tile_id for tile in found.tiles] == ["10", "11"]


def test_a_tile_without_squares_is_a_tile():
    found = atlas(doc.atlas("<TileXml><t:Id>10</t:Id></TileXml>"))
    assert (len(found.tiles), found.squares) == (1, ())


def test_text_is_whole_around_comments_and_cdata():
    assert session("<Name>a<!-- x -->b<![CDATA[<c>]]><?pi?>&amp;</Name>").name == "ab<c>&"


def test_a_file_that_is_of_no_kind_is_refused():
    with pytest.raises(ManifestUnreadable, match="not a kind"):
        parse_manifest("a/Sample4/Sample.dm", b"<a/>")


def test_the_root_must_be_what_the_name_says():
    with pytest.raises(ManifestUnreadable, match=r"starts with .*GridSquareXml"):
        parse_manifest(SESSION, doc.square(""))


def test_a_root_of_another_vendor_is_refused():
    with pytest.raises(ManifestUnreadable, match="starts with"):
        session("", "urn:other")
