"""Metadata/GridSquare_N.dm: small until the square is imaged, then with all its holes."""

from collections.abc import Mapping
from dataclasses import dataclass

from domains.cryoem.manifests import HoleTarget, SquareManifest
from simulators.epu.formats.markup import (
    ARRAYS,
    COMMON_TYPES,
    DATA_CONTRACT,
    DRAWING,
    EPU,
    EPU_ASSEMBLY,
    GENERIC,
    INSTANCE,
    MSCORLIB,
    SERIALIZATION,
    Template,
    Xml,
    comparer,
    dictionary,
    element,
    extent,
    finish,
    interned,
    joined,
    pairs,
    point,
    stage,
)

_INT = f"System.Int32, {MSCORLIB}"
_PARTICLES = f"Applications.Epu.Persistence.ParticleAcquisitionDataXml, {EPU_ASSEMBLY}"


@dataclass(frozen=True, slots=True)
class HoleImages:
    """What was taken of a hole: stems of its image and of its micrographs' files."""

    image: str
    micrographs: tuple[str, ...] = ()


_SQUARE = Template(f"""
<GridSquareXml z:Id="#" z:Type="Applications.Epu.Persistence.GridSquareXml"
    z:Assembly="{EPU_ASSEMBLY}" xmlns="{EPU}" xmlns:i="{INSTANCE}" xmlns:z="{SERIALIZATION}">
  <Id xmlns="{COMMON_TYPES}">%(square_id)s</Id>
  %(atlas_node_id)s
  <AutoEucentricPerformed>%(imaged)s</AutoEucentricPerformed>
  <BalancedRank i:nil="true"/>
  <BeamCurrent i:nil="true"/>
  <CategoryName i:nil="true"/>
  <CategoryNumber i:nil="true"/>
  %(image_path)s
  %(shape)s
  <HolePositionCorrection i:nil="true"/>
  <HoleSpacing>%(hole_spacing)s</HoleSpacing>
  %(image)s
  %(image_folder)s
  <IsRecommendedSelection i:nil="true"/>
  <IsSmartFindHolesDecisionKnown>false</IsSmartFindHolesDecisionKnown>
  <IsSmartHoleDecisionKnown>false</IsSmartHoleDecisionKnown>
  <IsSmartIceThicknessDecisionKnown>false</IsSmartIceThicknessDecisionKnown>
  <Order>%(order)s</Order>
  %(position)s
  <RankInsideCategory i:nil="true"/>
  %(rotation)s
  %(selected)s
  <StartDateTime i:nil="true"/>
  %(state)s
  <TargetLocations z:Id="#" z:Type="Applications.Epu.Persistence.FoilHoleCollectionXml"
      z:Assembly="{EPU_ASSEMBLY}">
    <Id xmlns="{COMMON_TYPES}">%(collection_id)s</Id>
    <GridSquareId>%(square_id)s</GridSquareId>
    <TargetLocations i:nil="true" xmlns:a="{ARRAYS}"/>
    <TargetLocationsEfficient z:Id="#" xmlns:a="{ARRAYS}">
      <a:m_comparer z:Id="#" z:Type="{comparer(_INT)}" z:Assembly="0"/>
      <a:m_keyRehashCount>0</a:m_keyRehashCount>
      <a:m_serializationArray z:Id="#" z:Size="%(holes_count)s" xmlns:b="{GENERIC}">
        %(holes)s
      </a:m_serializationArray>
      <a:m_serializationCapacity>1117</a:m_serializationCapacity>
      <a:m_serializationConcurrencyLevel>12</a:m_serializationConcurrencyLevel>
    </TargetLocationsEfficient>
  </TargetLocations>
  %(unusable)s
</GridSquareXml>""")

_SHAPE = Template(f"""
<GridSquareShape z:Id="#" xmlns:a="{DATA_CONTRACT}Applications.SciencesAppsShared.Types">
  <a:center xmlns:b="{DRAWING}"><b:x>1440</b:x><b:y>1023</b:y></a:center>
  <a:max xmlns:b="{DRAWING}"><b:x>1980</b:x><b:y>1563</b:y></a:max>
  <a:min xmlns:b="{DRAWING}"><b:x>900</b:x><b:y>483</b:y></a:min>
  <a:vertices z:Id="#" z:Size="4" xmlns:b="{DRAWING}">
    <b:PointF><b:x>900</b:x><b:y>483</b:y></b:PointF>
    <b:PointF><b:x>1980</b:x><b:y>483</b:y></b:PointF>
    <b:PointF><b:x>1980</b:x><b:y>1563</b:y></b:PointF>
    <b:PointF><b:x>900</b:x><b:y>1563</b:y></b:PointF>
  </a:vertices>
</GridSquareShape>""")

_IMAGE = Template(f"""
<%(tag)s z:Id="#" xmlns:%(prefix)s="{COMMON_TYPES}">
  <%(prefix)s:BaseFileName z:Id="#">%(stem)s</%(prefix)s:BaseFileName>
  <%(prefix)s:FileFormat>Tiff</%(prefix)s:FileFormat>
</%(tag)s>""")

_NO_IMAGE = Template(f'<Image i:nil="true" xmlns:%(prefix)s="{COMMON_TYPES}"/>')

_HOLE = Template(f"""
<b:KeyValuePairOfintTargetLocationXmlBpEWF4JT>
  <b:key>%(hole_id)s</b:key>
  <b:value z:Id="#">
    <Id xmlns="{COMMON_TYPES}">%(hole_id)s</Id>
    <BeamShiftId i:nil="true"/>
    %(corrected)s
    <FilterProperties z:Id="#">
      <PixelIntensityMean>%(mean)s</PixelIntensityMean>
      <PixelIntensityStDev>%(deviation)s</PixelIntensityStDev>
    </FilterProperties>
    %(image_path)s
    <GridSquareId>%(square_id)s</GridSquareId>
    %(image)s
    %(image_folder)s
    %(near_bar)s
    <IsPositionCorrected>false</IsPositionCorrected>
    <IsPositionRefined>false</IsPositionRefined>
    <IsRecommendedSelection i:nil="true"/>
    <Order>%(order)s</Order>
    <ParticleAcquisitions z:Id="#" z:Type="{dictionary(_INT, _PARTICLES)}" z:Assembly="0">
      <Version z:Id="#" z:Type="System.Int32" z:Assembly="0" xmlns="">%(taken_count)s</Version>
      %(comparer)s
      <HashSize z:Id="#" z:Type="System.Int32" z:Assembly="0" xmlns="">%(hash_size)s</HashSize>
      %(taken)s
    </ParticleAcquisitions>
    %(pixel_center)s
    %(pixel_size)s
    <PositionInCluster i:nil="true" xmlns:c="{DRAWING}"/>
    %(primary_id)s
    %(quality)s
    %(rotation)s
    <SecondaryTargetLocationdIds z:Id="#">
      %(secondary)s
      <a:_size>0</a:_size>
      <a:_version>0</a:_version>
    </SecondaryTargetLocationdIds>
    %(selected)s
    <Shear>0</Shear>
    <SmartIceThicknessResult i:nil="true"/>
    %(stage)s
    %(state)s
  </b:value>
</b:KeyValuePairOfintTargetLocationXmlBpEWF4JT>""")

_TAKEN = Template(f"""
<KeyValuePairs z:Id="#" z:Type="{pairs(_INT, _PARTICLES)}" z:Assembly="0" z:Size="%(count)s"
    xmlns="">
  %(items)s
</KeyValuePairs>""")

_MICROGRAPH = Template(f"""
<b:KeyValuePairOfintParticleAcquisitionDataXmlBpEWF4JT>
  <b:key>%(ident)s</b:key>
  <b:value z:Id="#" xmlns:c="{EPU}">
    <Id xmlns="{COMMON_TYPES}">%(ident)s</Id>
    <c:DataAcquisitionAreaId>%(area)s</c:DataAcquisitionAreaId>
    <c:GridSquareId>%(square_id)s</c:GridSquareId>
    %(image)s
    <c:ImageAcquisitionSettingId>%(setting)s</c:ImageAcquisitionSettingId>
    <c:ImageFolderName z:Id="#">Images-Disc1</c:ImageFolderName>
    <c:TargetLocationId>%(hole_id)s</c:TargetLocationId>
  </b:value>
</b:KeyValuePairOfintParticleAcquisitionDataXmlBpEWF4JT>""")

# What repeats in every hole: an object where it comes first, a reference afterwards.
_COMPARER = (
    Xml(f'<Comparer z:Id="#comparer" z:Type="{comparer(_INT)}" z:Assembly="0" xmlns=""/>'),
    Xml('<Comparer z:Ref="#comparer" i:nil="true" xmlns=""/>'),
)
_SECONDARY = (
    Xml('<a:_items z:Id="#none" z:Size="0"/>'),
    Xml('<a:_items z:Ref="#none" i:nil="true"/>'),
)


def write_square(
    square: SquareManifest,
    *,
    collection_id: int,
    order: int = -1,
    hole_spacing: float = 0.0,
    taken: Mapping[int, HoleImages] | None = None,
) -> bytes:
    """Return the content of a square's file.

    Args:
        square: What is known of the square; without an image it is written as un-imaged.
        collection_id: EPU's id of the list of its holes.
        order: When the square's turn comes, counted from 0; -1 when it has none.
        hole_spacing: Distance of neighbouring holes, metres.
        taken: What was taken of its holes, by hole.
    """
    path = square.image_path
    stem = path.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] if path else None
    folder = path.rpartition("\\")[0] if path else ""
    images = taken or {}
    holes = [
        _hole(square.square_id, hole, index, images.get(hole.hole_id), folder)
        for index, hole in enumerate(square.holes)
    ]
    return finish(
        _SQUARE.fill(
            square_id=square.square_id,
            atlas_node_id=element("AtlasNodeId", square.atlas_node_id),
            imaged=path is not None,
            image_path=interned("GridSquareImagePath", path),
            shape=_SHAPE.fill() if path else element("GridSquareShape", None),
            hole_spacing=hole_spacing,
            image=_image("Image", stem, "a"),
            image_folder=interned("ImageFolderName", "Images-Disc1" if path else None),
            order=order,
            position=stage("Position", square.position, "a"),
            rotation=element("Rotation", square.rotation),
            selected=element("Selected", square.selected),
            state=element("State", square.state),
            collection_id=collection_id,
            holes_count=len(holes),
            holes=joined(holes),
            unusable=element("Unusable", square.unusable),
        )
    )


def _hole(
    square_id: int, hole: HoleTarget, index: int, images: HoleImages | None, folder: str
) -> Xml:
    again = min(index, 1)
    stem = images.image if images else None
    micrographs = images.micrographs if images else ()
    center = hole.pixel_center
    return _HOLE.fill(
        hole_id=hole.hole_id,
        square_id=square_id,
        corrected=_NOWHERE,
        # No image is simulated: a mean that follows the place, a spread of plain noise.
        mean=650.0 + (center.x % 97 if center else 0.0),
        deviation=25.0,
        image_path=interned(
            "FoilHoleImagePath", f"{folder}\\FoilHoles\\{stem}.tiff" if stem else None
        ),
        image=_image("Image", stem, "c"),
        image_folder=interned("ImageFolderName", "Images-Disc1" if stem else None),
        near_bar=element("IsNearGridBar", hole.is_near_grid_bar),
        order=index,
        taken_count=len(micrographs),
        comparer=_COMPARER[again],
        hash_size=7 if micrographs else 0,
        taken=_taken(square_id, hole.hole_id, micrographs),
        pixel_center=point("PixelCenter", hole.pixel_center, "c"),
        pixel_size=extent("PixelWidthHeight", hole.pixel_size, "c"),
        primary_id=element("PrimaryId", hole.hole_id if stem else None),
        quality=element("Quality", hole.quality),
        rotation=element("Rotation", hole.rotation),
        secondary=_SECONDARY[again],
        selected=element("Selected", hole.selected),
        stage=stage("StagePosition", hole.stage_position, "c"),
        state=element("State", hole.state),
    )


def _taken(square_id: int, hole_id: int, micrographs: tuple[str, ...]) -> Xml:
    if not micrographs:
        return Xml()
    items = [_micrograph(square_id, hole_id, stem) for stem in micrographs]
    return _TAKEN.fill(count=len(items), items=joined(items))


def _micrograph(square_id: int, hole_id: int, stem: str) -> Xml:
    # FoilHole_<hole>_Data_<area>_<setting>_<date>_<time>
    area, setting = stem.split("_")[3:5]
    return _MICROGRAPH.fill(
        ident=hole_id + int(setting),
        area=area,
        square_id=square_id,
        image=_image("c:Image", stem, "d"),
        setting=setting,
        hole_id=hole_id,
    )


def _image(tag: str, stem: str | None, prefix: str) -> Xml:
    if stem is None:
        return _NO_IMAGE.fill(prefix=Xml(prefix))
    return _IMAGE.fill(tag=Xml(tag), prefix=Xml(prefix), stem=stem)


_NOWHERE = Xml(
    f'<CorrectedStagePosition xmlns:c="{DATA_CONTRACT}Fei.SharedObjects">'
    "<c:A>0</c:A><c:B>0</c:B><c:X>0</c:X><c:Y>0</c:Y><c:Z>0</c:Z></CorrectedStagePosition>"
)
