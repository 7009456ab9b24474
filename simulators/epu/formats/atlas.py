"""Atlas.dm: the tiles of the grid's overview, each with the squares found on it."""

from collections import defaultdict

from domains.cryoem.manifests import (
    AtlasManifest,
    AtlasTile,
    Point,
    SquarePlacement,
    TilePosition,
)
from simulators.epu.formats.markup import (
    ARRAYS,
    COMMON_TYPES,
    DATA_CONTRACT,
    DRAWING,
    GENERIC,
    INSTANCE,
    MSCORLIB,
    SERIALIZATION,
    SHARED_OBJECTS,
    UNSIGNED,
    Template,
    Value,
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
    rectangle,
)
from simulators.epu.formats.optics import PRESETS, acquisition, optics

_SHARED = "Applications.SciencesAppsShared"
_PERSISTENCE = f"{_SHARED}.GridAtlas.Persistence"
_NAMESPACE = DATA_CONTRACT + _PERSISTENCE
_DATAMODEL = DATA_CONTRACT + f"{_SHARED}.GridAtlas.Datamodel"
_ALIGNMENT = f"{_SHARED}.Types.AtlasAlignment"
_ALIGNMENT_NAMESPACE = DATA_CONTRACT + _ALIGNMENT
_ASSEMBLY = f"{_PERSISTENCE}, Version=1.34.0.1, {UNSIGNED}"
_INT = f"System.Int32, {MSCORLIB}"
_NODE = f"{_PERSISTENCE}.NodeXml, {_ASSEMBLY}"
#: .NET lists grow by doubling; what is not used is nil.
_SMALLEST_LIST = 4

_ATLAS = Template(f"""
<AtlasSessionXml z:Id="#session" z:Type="{_PERSISTENCE}.AtlasSessionXml" z:Assembly="{_ASSEMBLY}"
    xmlns="{_NAMESPACE}" xmlns:i="{INSTANCE}" xmlns:z="{SERIALIZATION}">
  <Id xmlns="{COMMON_TYPES}">%(epu_id)s</Id>
  <Atlas z:Id="#">
    <Id xmlns="{COMMON_TYPES}">%(epu_id)s</Id>
    <AcquiredWithImageBeamShift>false</AcquiredWithImageBeamShift>
    %(acquired_at)s
    <AcquisitionSettings z:Id="#acquisition" xmlns:a="{SHARED_OBJECTS}">
      %(acquisition)s
    </AcquisitionSettings>
    <AlignmentTileId>%(first_tile)s</AlignmentTileId>
    <AtlasAlignmentTransformation z:Id="#" z:Type="{_ALIGNMENT}.AlignmentTransformation"
        z:Assembly="{_SHARED}.Types, Version=1.34.0.1, {UNSIGNED}">
      <Acquisition z:Ref="#acquisition" i:nil="true" xmlns="{_ALIGNMENT_NAMESPACE}"
          xmlns:a="{SHARED_OBJECTS}"/>
      <Optics z:Id="#optics" xmlns="{_ALIGNMENT_NAMESPACE}" xmlns:a="{SHARED_OBJECTS}">
        %(optics)s
      </Optics>
      <Rotation xmlns="{_ALIGNMENT_NAMESPACE}">0</Rotation>
      <TimeStamp xmlns="{_ALIGNMENT_NAMESPACE}">%(aligned_at)s</TimeStamp>
      <Translation xmlns="{_ALIGNMENT_NAMESPACE}" xmlns:a="{DRAWING}">
        <a:height>0</a:height><a:width>0</a:width>
      </Translation>
    </AtlasAlignmentTransformation>
    <AtlasImageReference z:Id="#" xmlns:a="{COMMON_TYPES}">
      <a:BaseFileName z:Id="#">Atlas_%(epu_id)s</a:BaseFileName>
      <a:FileFormat>Mrc</a:FileFormat>
    </AtlasImageReference>
    <CryoboxReferenceVector xmlns:a="{DRAWING}"><a:x>0</a:x><a:y>0</a:y></CryoboxReferenceVector>
    <HighLmAlignmentImageReference i:nil="true" xmlns:a="{COMMON_TYPES}"/>
    <IsStem>false</IsStem>
    <Name i:nil="true"/>
    <NrTiles i:nil="true"/>
    <OpticsSettings z:Ref="#optics" i:nil="true" xmlns:a="{SHARED_OBJECTS}"/>
    <SelectedCategories z:Id="#" xmlns:a="{ARRAYS}">
      <a:_items z:Id="#" z:Size="4">
        <a:int>0</a:int><a:int>1</a:int><a:int>0</a:int><a:int>0</a:int>
      </a:_items>
      <a:_size>2</a:_size>
      <a:_version>2</a:_version>
    </SelectedCategories>
    <Session z:Ref="#session" i:nil="true"/>
    <StartPosition>CloseToCenter</StartPosition>
    <TilesEfficient z:Id="#">
      <_items z:Id="#" z:Size="%(capacity)s">%(tiles)s</_items>
      <_size>%(tiles_count)s</_size>
      <_version>%(tiles_count)s</_version>
    </TilesEfficient>
  </Atlas>
  <Description z:Id="#">Simulated atlas</Description>
  <ImageFileFormat>Mrc</ImageFileFormat>
  %(name)s
  <StartDateTime>%(aligned_at)s</StartDateTime>
  %(storage_folder)s
  <Version z:Id="#" xmlns:a="{DATA_CONTRACT}System">
    <a:_Build>0</a:_Build><a:_Major>3</a:_Major><a:_Minor>0</a:_Minor><a:_Revision>-1</a:_Revision>
  </Version>
</AtlasSessionXml>""")

_TILE = Template(f"""
<TileXml z:Id="#">
  <Id xmlns="{COMMON_TYPES}">%(tile_id)s</Id>
  %(position)s
  <Nodes z:Id="#" z:Type="{dictionary(_INT, _NODE)}" z:Assembly="0" xmlns:a="{ARRAYS}">
    <Version z:Id="#" z:Type="System.Int32" z:Assembly="0" xmlns="">%(nodes_count)s</Version>
    %(comparer)s
    <HashSize z:Id="#" z:Type="System.Int32" z:Assembly="0" xmlns="">%(hash_size)s</HashSize>
    %(nodes)s
  </Nodes>
  <StagePosition xmlns:a="{SHARED_OBJECTS}">
    <a:A>0</a:A><a:B>0</a:B><a:X>0</a:X><a:Y>0</a:Y><a:Z>0</a:Z>
  </StagePosition>
  <TileImageReference z:Id="#" xmlns:a="{COMMON_TYPES}">
    %(image_name)s<a:FileFormat>Mrc</a:FileFormat>
  </TileImageReference>
</TileXml>""")

_NODES = Template(f"""
<KeyValuePairs z:Id="#" z:Type="{pairs(_INT, _NODE)}" z:Assembly="0" z:Size="%(count)s" xmlns="">
  %(nodes)s
</KeyValuePairs>""")

_SQUARE = Template(f"""
<KeyValuePairOfintNodeXml30oatNZW xmlns="{GENERIC}">
  <key>%(square_id)s</key>
  <value z:Id="#" xmlns:b="{_NAMESPACE}">
    <Id xmlns="{COMMON_TYPES}">%(square_id)s</Id>
    <b:AlignedStagePosition xmlns:c="{SHARED_OBJECTS}">%(stage)s</b:AlignedStagePosition>
    <b:Category>0</b:Category>
    <b:FeatureVector z:Id="#" z:Size="2">
      <a:double>0.5</a:double><a:double>-0.5</a:double>
    </b:FeatureVector>
    <b:PositionOnTheAtlas xmlns:c="{_DATAMODEL}">%(position)s</b:PositionOnTheAtlas>
    <b:StagePosition xmlns:c="{SHARED_OBJECTS}">%(stage)s</b:StagePosition>
    <b:TilePositions z:Id="#">
      <b:_items z:Id="#" z:Size="%(capacity)s">%(tiles)s</b:_items>
      <b:_size>%(tiles_count)s</b:_size>
      <b:_version>%(tiles_count)s</b:_version>
    </b:TilePositions>
  </value>
</KeyValuePairOfintNodeXml30oatNZW>""")

_ON_TILE = Template(f"""
<b:TilePositionXml z:Id="#">
  <Id xmlns="{COMMON_TYPES}">%(square_id)s</Id>
  <b:NodePosition xmlns:c="{_DATAMODEL}">%(position)s</b:NodePosition>
  <b:TileId>%(tile_id)s</b:TileId>
</b:TilePositionXml>""")

_COMPARER = (
    Xml(f'<Comparer z:Id="#comparer" z:Type="{comparer(_INT)}" z:Assembly="0" xmlns=""/>'),
    Xml('<Comparer z:Ref="#comparer" i:nil="true" xmlns=""/>'),
)


def write_atlas(atlas: AtlasManifest) -> bytes:
    """Return the content of Atlas.dm; each square becomes a node of the first of its tiles."""
    squares: dict[str, list[SquarePlacement]] = defaultdict(list)
    for square in atlas.squares:
        squares[square.tiles[0].tile_id].append(square)
    tiles = [
        _tile(tile, squares[tile.tile_id], again=min(index, 1))
        for index, tile in enumerate(atlas.tiles)
    ]
    return finish(
        _ATLAS.fill(
            epu_id=atlas.epu_id or "",
            acquired_at=element("AcquisitionDateTime", atlas.acquired_at),
            acquisition=acquisition(PRESETS[0], "a", "b"),
            first_tile=atlas.tiles[0].tile_id if atlas.tiles else 0,
            optics=optics(PRESETS[0], "a", "b"),
            aligned_at=atlas.acquired_at or Xml("0001-01-01T00:00:00"),
            capacity=_capacity(len(tiles)),
            tiles=_padded(tiles, "TileXml"),
            tiles_count=len(tiles),
            name=interned("Name", atlas.name),
            storage_folder=interned("StorageFolder", atlas.storage_folder),
        )
    )


def _tile(tile: AtlasTile, squares: list[SquarePlacement], *, again: int) -> Xml:
    nodes = [_square(square) for square in squares]
    return _TILE.fill(
        tile_id=tile.tile_id,
        position=rectangle("AtlasPixelPosition", tile.position, tile.size, "a"),
        nodes_count=len(nodes),
        comparer=_COMPARER[again],
        hash_size=7 if nodes else 0,
        nodes=_NODES.fill(count=len(nodes), nodes=joined(nodes)) if nodes else Xml(),
        image_name=interned("a:BaseFileName", tile.image_name),
    )


def _square(square: SquarePlacement) -> Xml:
    tiles = [_on_tile(square, tile) for tile in square.tiles]
    physical = square.physical or Point(x=0, y=0)
    axes: dict[str, Value] = {"A": 0, "B": 0, "X": physical.x, "Y": physical.y, "Z": 0}
    return _SQUARE.fill(
        square_id=square.square_id,
        stage=joined([element(f"c:{axis}", value) for axis, value in axes.items()]),
        position=joined(
            [
                point("c:Center", square.center, "d"),
                *_shape(square),
                extent("c:Size", square.size, "d"),
            ]
        ),
        capacity=_capacity(len(tiles)),
        tiles=_padded(tiles, "b:TilePositionXml"),
        tiles_count=len(tiles),
    )


def _on_tile(square: SquarePlacement, tile: TilePosition) -> Xml:
    return _ON_TILE.fill(
        square_id=square.square_id,
        position=joined(
            [
                point("c:Center", tile.position, "d"),
                *_shape(square),
                extent("c:Size", tile.size, "d"),
            ]
        ),
        tile_id=tile.tile_id,
    )


def _shape(square: SquarePlacement) -> tuple[Xml, ...]:
    return (
        rectangle("c:Physical", square.physical, square.physical_size, "d"),
        element("c:Quality", 1.0),
        element("c:Rotation", square.rotation),
        element("c:Shear", 0.0),
    )


def _capacity(used: int) -> int:
    capacity = _SMALLEST_LIST
    while capacity < used:
        capacity *= 2
    return capacity


def _padded(items: list[Xml], name: str) -> Xml:
    return joined([*items, *[element(name, None)] * (_capacity(len(items)) - len(items))])
