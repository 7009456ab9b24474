"""Atlas.dm: the tiles of the grid's overview and the squares found on them."""

from agent.epu.fields import Fields
from agent.epu.xml import DATA_CONTRACT, Document, Root, forget
from core.errors import ManifestUnreadable
from domains.cryoem.manifests import AtlasManifest, AtlasTile, SquarePlacement, TilePosition

NAMESPACE = DATA_CONTRACT + "Applications.SciencesAppsShared.GridAtlas.Persistence"
ROOT = Root("AtlasSessionXml", (NAMESPACE,))


def parse_atlas(path: str, data: bytes) -> AtlasManifest:
    """Return the atlas in `data`; one of an unscreened sample has no tiles and no squares."""
    document = Document(path, data, ROOT)
    tiles: dict[str, AtlasTile] = {}
    squares: dict[int, SquarePlacement] = {}
    for element in document.stream("{*}TileXml"):
        followed = document.follow(element)
        if followed is not None:
            fields = Fields(document, followed)
            tile = _tile(path, fields)
            tiles[tile.tile_id] = tile
            for square in _squares(fields):
                squares[square.square_id] = _merged(squares.get(square.square_id), square)
        forget(element)
    session = Fields(document, document.root)
    return AtlasManifest(
        epu_id=session.text("Atlas", "Id") or session.text("Id"),
        name=session.text("Name") or session.text("Atlas", "Name"),
        acquired_at=session.moment("Atlas", "AcquisitionDateTime"),
        storage_folder=session.text("StorageFolder"),
        tiles=tuple(tiles.values()),
        squares=tuple(squares.values()),
    )


def _tile(path: str, tile: Fields) -> AtlasTile:
    tile_id = tile.text("Id")
    if tile_id is None:
        raise ManifestUnreadable(path, "has a tile without Id")
    return AtlasTile(
        tile_id=tile_id,
        image_name=tile.text("TileImageReference", "BaseFileName"),
        position=tile.point("AtlasPixelPosition"),
        size=tile.extent("AtlasPixelPosition"),
    )


def _squares(tile: Fields) -> list[SquarePlacement]:
    pairs = tile.below("Nodes", "KeyValuePairs")
    if pairs is None:
        return []
    return [
        _placement(pair.required_integer("key"), node)
        for pair in pairs.items("KeyValuePairOfintNodeXml")
        if (node := pair.below("value")) is not None
    ]


def _placement(square_id: int, node: Fields) -> SquarePlacement:
    return SquarePlacement(
        square_id=square_id,
        center=node.point("PositionOnTheAtlas", "Center"),
        physical=node.point("PositionOnTheAtlas", "Physical"),
        physical_size=node.extent("PositionOnTheAtlas", "Physical"),
        size=node.extent("PositionOnTheAtlas", "Size"),
        rotation=node.number("PositionOnTheAtlas", "Rotation"),
        tiles=_tile_positions(node.below("TilePositions", "_items")),
    )


def _tile_positions(items: Fields | None) -> tuple[TilePosition, ...]:
    positions: dict[str, TilePosition] = {}
    for item in items.items("TilePositionXml") if items else ():
        tile_id, center = item.text("TileId"), item.point("NodePosition", "Center")
        if tile_id is not None and center is not None:
            positions[tile_id] = TilePosition(
                tile_id=tile_id, position=center, size=item.extent("NodePosition", "Size")
            )
    return tuple(positions.values())


def _merged(known: SquarePlacement | None, again: SquarePlacement) -> SquarePlacement:
    """Return a square that is a node of two tiles once, with the tile positions of both."""
    if known is None:
        return again
    tiles = {tile.tile_id: tile for tile in (*known.tiles, *again.tiles)}
    return again.model_copy(update={"tiles": tuple(tiles.values())})
