"""EpuSession.dm: the acquisition and its grid."""

from agent.epu.fields import Fields
from agent.epu.xml import DATA_CONTRACT, Document, Root
from domains.cryoem.manifests import EpuSession, SquareReference

#: EPU 2 and later, and EPU 1.
PERSISTENCE = (
    DATA_CONTRACT + "Applications.Epu.Persistence",
    DATA_CONTRACT + "Fei.Applications.Epu.Persistence",
)
ROOT = Root("EpuSessionXml", PERSISTENCE)


def parse_session(path: str, data: bytes) -> EpuSession:
    """Return the session manifest in `data`; `path` is for messages."""
    document = Document(path, data, ROOT)
    session = Fields(document, document.root)
    sample = _first(session.below("Samples", "_items"), "SampleXml")
    storage = _first(session.below("StorageFolders", "_items"), "StorageFolderXml")
    return EpuSession(
        epu_id=session.text("Id"),
        name=session.text("Name"),
        started_at=session.moment("StartDateTime"),
        clustering_mode=session.text("ClusteringMode"),
        clustering_radius=session.number("ClusteringRadius"),
        autoloader_slot=session.integer("AutoloaderSlot"),
        atlas_path=sample.text("AtlasId") if sample else None,
        grid_type=sample.text("GridType") if sample else None,
        storage_path=storage.text("Path") if storage else None,
        squares=_squares(sample.below("GridSquares")) if sample else (),
    )


def _first(items: Fields | None, prefix: str) -> Fields | None:
    return None if items is None else next(items.items(prefix), None)


def _squares(listing: Fields | None) -> tuple[SquareReference, ...]:
    if listing is None:
        return ()
    pairs = listing.below("m_serializationArray") or listing.below("KeyValuePairs")
    if pairs is None:
        return ()
    squares: dict[int, SquareReference] = {}
    for pair in pairs.items("KeyValuePairOfint"):
        square_id = pair.required_integer("key")
        squares[square_id] = SquareReference(
            square_id=square_id, file_name=pair.text("value", "FileName")
        )
    return tuple(squares.values())
