"""EpuSession.dm: the session with its one sample, the squares of it, and all presets."""

from dataclasses import dataclass
from datetime import UTC

from domains.cryoem.manifests import EpuSession, SquareReference
from simulators.epu.formats import session_text as text
from simulators.epu.formats.markup import (
    COMMON_TYPES,
    Template,
    Xml,
    element,
    finish,
    interned,
    joined,
)
from simulators.epu.formats.optics import PRESETS, Preset, acquisition, optics


@dataclass(frozen=True, slots=True)
class SessionIds:
    """EPU's ids of what a session consists of; exposures are (area, setting) pairs."""

    storage: int
    sample: int
    filters: tuple[int, int]
    template: int
    autofocus: int
    exposures: tuple[tuple[int, int], ...]


def write_session(session: EpuSession, ids: SessionIds) -> bytes:
    """Return the content of EpuSession.dm."""
    start = session.started_at
    # The session's own start is the one time that EPU writes in UTC.
    in_utc = Xml(start.astimezone(UTC).isoformat().replace("+00:00", "Z")) if start else None
    return finish(
        text.SESSION.fill(
            epu_id=_ident(session.epu_id),
            autoloader_slot=element("AutoloaderSlot", session.autoloader_slot),
            clustering_mode=element("ClusteringMode", session.clustering_mode),
            clustering_radius=element("ClusteringRadius", session.clustering_radius),
            name=session.name or "",
            sample=_sample(session, ids),
            started_at=element("StartDateTime", in_utc),
            storage=ids.storage,
            storage_path=interned("Path", session.storage_path),
        )
    )


def _ident(epu_id: str | None) -> Xml:
    return Template(f'<Id xmlns="{COMMON_TYPES}">%(ident)s</Id>').fill(ident=epu_id or "")


def _sample(session: EpuSession, ids: SessionIds) -> Xml:
    squares = [_square(square) for square in session.squares]
    exposures = [text.EXPOSURE.fill(area=area, setting=setting) for area, setting in ids.exposures]
    by_square, by_hole = ids.filters
    return text.SAMPLE.fill(
        sample=ids.sample,
        started_locally=session.started_at or Xml("0001-01-01T00:00:00"),
        atlas_path=interned("AtlasId", session.atlas_path),
        filters=joined(
            [
                text.FILTER.fill(tag=Xml("FilterGridSquaresSettings"), ident=by_square, more=Xml()),
                text.FILTER.fill(
                    tag=Xml("FilterHolesSettings"), ident=by_hole, more=text.HOLE_GEOMETRY.fill()
                ),
            ]
        ),
        squares_count=len(squares),
        squares=joined(squares),
        grid_type=element("GridType", session.grid_type),
        presets_count=len(PRESETS),
        presets=joined([_preset(preset) for preset in PRESETS]),
        template=ids.template,
        autofocus=ids.autofocus,
        exposures_count=len(exposures),
        exposures=joined(exposures),
    )


def _square(square: SquareReference) -> Xml:
    return text.SQUARE.fill(
        square_id=square.square_id, file_name=interned("c:FileName", square.file_name)
    )


def _preset(preset: Preset) -> Xml:
    return text.PRESET_PAIR.fill(
        name=preset.name,
        acquisition=acquisition(preset, "c", "d"),
        optics=optics(preset, "c", "d"),
        lens=preset.lens,
    )
