"""Change, link and register what clients say: checked first, then written together."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import update
from sqlmodel import Session, col

from core.errors import AthanorError, Conflict, MessageRejected
from models.cryoem import completeness
from models.cryoem.messages import Entity
from models.cryoem.smartem.columns import TILE_SQUARE
from models.cryoem.smartem.creating import contradicts
from models.cryoem.smartem.mapping import KINDS, Row, changes
from models.cryoem.smartem.owners import LISTINGS, Owners, grids_of_acquisitions, rows_of
from models.cryoem.smartem.statuses import AcquisitionStatus, SquareStatus
from models.cryoem.smartem.writes import After, Link, Register, Result, Step, Update
from models.cryoem.tables import Square, TileSquare
from models.sql import chunks, insert_or_replace, one_of

#: How an acquisition ends.
_OVER: Final = frozenset({AcquisitionStatus.COMPLETED, AcquisitionStatus.ABANDONED})


class Changes:
    """Updates of a group: their rows, locked; what contradicts them is noted as refused."""

    def __init__(self, session: Session, steps: Sequence[Step], owners: Owners) -> None:
        """Read the rows and check."""
        self._session = session
        self._rows: dict[Entity, dict[UUID, Row]] = {}
        self._before: dict[UUID, Row] = {}
        for entity in KINDS:
            wanted = {_write(one).uuid for one in steps if _write(one).entity is entity}
            if wanted:
                self._rows[entity] = rows_of(session, entity, wanted)
        self._look_for_other_names(steps, owners)
        for one in steps:
            try:
                self._check(_write(one), owners)
            except AthanorError as error:
                one.error = error

    def _look_for_other_names(self, steps: Sequence[Step], owners: Owners) -> None:
        """Look whether what is not the rows' own uuid names the same."""
        others: dict[Entity, set[UUID]] = {}
        for write in map(_write, steps):
            kind, row = KINDS[write.entity], self._rows[write.entity].get(write.uuid)
            for entity, name, own in (
                (write.entity, "uuid", write.uuid),
                (kind.parent, kind.parent_field, row and row[kind.parent_column or "uuid"]),
            ):
                said = getattr(write.request, name or "", None)
                if entity is not None and said is not None and said != own:
                    others.setdefault(entity, set()).add(said)
        if others:
            owners.look(others)

    def _check(self, write: Update, owners: Owners) -> None:
        kind, request = KINDS[write.entity], write.request
        owner, row = owners.require(write.entity, write.uuid), self._rows[write.entity][write.uuid]
        said = owners.own(write.entity, getattr(request, "uuid", None))
        if said is not None and said != write.uuid:
            raise contradicts("uuid", said, write.uuid)
        word = LISTINGS[write.entity].name
        fixed: dict[str | None, Any] = {
            kind.parent_field: row[kind.parent_column] if kind.parent_column else None,
            kind.natural_field: _as_text(row, kind.natural[-1:]),
            kind.parent_natural_field: None if owner.above is None else str(owner.above),
        }
        for name, value in fixed.items():
            said = None if name is None else getattr(request, name)
            if name is not None and name == kind.parent_field:
                said = owners.own(kind.parent, said)
            if said is not None and said != value:
                raise Conflict(f"{name}: {word} {write.uuid} has {value}, which never changes.")

    def apply(self, steps: Sequence[Step], after: After, *, now: datetime) -> None:
        """Write what was found to be possible."""
        touched: dict[Entity, set[UUID]] = {}
        for one in steps:
            write = _write(one)
            row = self._rows[write.entity][write.uuid]
            old = dict(row)
            self._before.setdefault(write.uuid, old)
            row.update(changes(KINDS[write.entity], write.request))
            row["life_seq"] = max(one.seq, row["life_seq"] or 0)
            if write.entity is Entity.ACQUISITION and row["status"] in _OVER:
                row["ended_at"] = row["ended_at"] or now
                row["end_reason"] = row["end_reason"] or row["status"]
            one.changed = (old, dict(row))
            touched.setdefault(write.entity, set()).add(write.uuid)
        for entity, uuids in touched.items():
            rows = [self._rows[entity][uuid] for uuid in sorted(uuids, key=str)]
            insert_or_replace(self._session, KINDS[entity].model, rows, unique=["uuid"])
        self._note_ends(touched.get(Entity.ACQUISITION, set()), after)

    def _note_ends(self, acquisitions: set[UUID], after: After) -> None:
        known = self._rows.get(Entity.ACQUISITION, {})
        over = [
            uuid
            for uuid in acquisitions
            if known[uuid]["ended_at"] is not None and self._before[uuid]["ended_at"] is None
        ]
        for grids in grids_of_acquisitions(self._session, over).values():
            after.ended += grids


def _write(step: Step) -> Update:
    assert isinstance(step.write, Update)  # noqa: S101 (sorted by the caller)
    return step.write


def _as_text(row: Row, columns: Sequence[str]) -> str | None:
    return next((str(row[name]) for name in columns), None)


def check_links(steps: Sequence[Step], owners: Owners) -> None:
    """Note which links cannot be."""
    for one in steps:
        assert isinstance(one.write, Link)  # noqa: S101 (sorted by the caller)
        try:
            _check_link(one, one.write, owners)
        except AthanorError as error:
            one.error = error


def _check_link(step: Step, link: Link, owners: Owners) -> None:
    step.grid = owners.require(Entity.TILE, link.tile).grid
    seen: set[UUID] = set()
    for square, _ in link.squares:
        owner = owners.require(Entity.SQUARE, square)
        if owner.grid != step.grid:
            raise _rejected(f"{square} is on grid {owner.grid}, but the tile on {step.grid}")
        if square in seen:
            raise _rejected(f"{square} is given twice")
        seen.add(square)


def _rejected(reason: str) -> MessageRejected:
    return MessageRejected(
        f"gridsquare_uuid: {reason}", fields=["gridsquare_uuid"], reasons=[reason]
    )


def link(session: Session, steps: Sequence[Step]) -> None:
    """Write where squares lie on tiles; one that was said before is said anew."""
    rows: dict[tuple[UUID, UUID], Row] = {}
    for one in steps:
        assert isinstance(one.write, Link)  # noqa: S101 (sorted by the caller)
        shown: list[dict[str, Any]] = []
        for square, place in one.write.squares:
            fields: Mapping[str, Any] = {
                "atlastile_uuid": one.write.tile,
                **place.__dict__,
                "gridsquare_uuid": square,
            }
            shown.append({name: fields[name] for name in TILE_SQUARE})
            rows[one.write.tile, square] = {
                **{column: fields[name] for name, column in TILE_SQUARE.items()},
                "observed_at": None,
            }
        one.result = Result(tuple(shown))
    insert_or_replace(session, TileSquare, list(rows.values()), unique=["tile_uuid", "square_uuid"])


def register(session: Session, steps: Sequence[Step], after: After, *, now: datetime) -> None:
    """Note that all squares of grids, or all holes of squares, are known."""
    squares: list[UUID] = []
    for one in steps:
        assert isinstance(one.write, Register)  # noqa: S101 (sorted by the caller)
        if one.write.entity is Entity.SQUARE:
            squares.append(one.write.uuid)
        elif completeness.note_squares(session, one.write.uuid, now=now, told=True):
            after.registered.append(one.write.uuid)
    completeness.note_holes(session, squares, now=now)
    for part in chunks(squares):
        session.execute(
            update(Square)
            .where(one_of(session, col(Square.uuid), part))
            .values(status=SquareStatus.REGISTERED.value)
            .execution_options(synchronize_session=False)
        )
