"""Small EPU documents, written by hand in EPU's style."""

DC = "http://schemas.datacontract.org/2004/07/"
EPU = DC + "Applications.Epu.Persistence"
EPU_1 = DC + "Fei.Applications.Epu.Persistence"
ATLAS = DC + "Applications.SciencesAppsShared.GridAtlas.Persistence"
TYPES = DC + "Fei.Applications.Common.Types"
SHARED = DC + "Fei.SharedObjects"
DRAWING = DC + "System.Drawing"
GENERIC = DC + "System.Collections.Generic"
ARRAYS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
_COMMON = (
    'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:z="http://schemas.microsoft.com/2003/10/Serialization/"'
)


def session(content: str, namespace: str = EPU, prolog: str = "") -> bytes:
    return (
        f'{prolog}<EpuSessionXml xmlns="{namespace}" {_COMMON}>{content}</EpuSessionXml>'.encode()
    )


def image(content: str) -> bytes:
    return f'<MicroscopeImage xmlns="{SHARED}" {_COMMON}>{content}</MicroscopeImage>'.encode()


def optics(content: str) -> bytes:
    return image(f"<microscopeData><optics>{content}</optics></microscopeData>")


def hole(key: str, value: str, suffix: str = "BpEWF4JT") -> str:
    tag = f"b:KeyValuePairOfintTargetLocationXml{suffix}"
    return f"<{tag}><b:key>{key}</b:key><b:value>{value}</b:value></{tag}>"


def square(
    holes: str,
    *,
    ident: str = "7",
    where: str = "TargetLocationsEfficient",
    namespace: str = EPU,
    more: str = "",
) -> bytes:
    head = f'<Id xmlns="{TYPES}">{ident}</Id>' if ident else ""
    return (
        f'<GridSquareXml xmlns="{namespace}" {_COMMON} xmlns:a="{ARRAYS}" xmlns:b="{GENERIC}">'
        f"{head}{more}<TargetLocations><{where}><a:m_serializationArray>{holes}"
        f"</a:m_serializationArray></{where}></TargetLocations></GridSquareXml>"
    ).encode()


def atlas(tiles: str, more: str = "") -> bytes:
    return (
        f'<AtlasSessionXml xmlns="{ATLAS}" {_COMMON} xmlns:t="{TYPES}" xmlns:b="{GENERIC}">'
        f"<Atlas><t:Id>3</t:Id>{more}<TilesEfficient><_items>{tiles}"
        f'<TileXml i:nil="true"/></_items></TilesEfficient></Atlas></AtlasSessionXml>'
    ).encode()


def tile(ident: str, *nodes: str) -> str:
    pairs = "".join(nodes)
    return (
        f'<TileXml><t:Id>{ident}</t:Id><Nodes><KeyValuePairs xmlns="">{pairs}'
        "</KeyValuePairs></Nodes></TileXml>"
    )


def node(square_id: int, *tile_ids: str) -> str:
    tag = "b:KeyValuePairOfintNodeXml30oatNZW"
    positions = "".join(
        f'<TilePositionXml xmlns="{ATLAS}"><NodePosition><Center>'
        f'<x xmlns="{DRAWING}">1</x><y xmlns="{DRAWING}">2</y></Center></NodePosition>'
        f"<TileId>{tile_id}</TileId></TilePositionXml>"
        for tile_id in tile_ids
    )
    return (
        f'<{tag}><b:key>{square_id}</b:key><b:value><TilePositions xmlns="{ATLAS}">'
        f'<_items>{positions}<TilePositionXml i:nil="true"/></_items></TilePositions>'
        f"</b:value></{tag}>"
    )
