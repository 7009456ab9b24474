"""Change what clients ask to be made, but is there already by EPU's id under another uuid."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session

from core.errors import AthanorError, Conflict
from models.cryoem.messages import Entity
from models.cryoem.smartem.creating import Draft
from models.cryoem.smartem.mapping import KINDS, Kind, Row, changes
from models.cryoem.smartem.owners import LISTINGS, rows_of
from models.sql import chunks, insert_or_replace


class Adopted:
    """Rows that creations found, locked; what contradicts them is noted as refused."""

    def __init__(self, session: Session, drafts: Sequence[Draft]) -> None:
        """Read the rows and check: one query per kind."""
        self._session = session
        self._drafts = [one for one in drafts if one.found]
        wanted: dict[Entity, set[UUID]] = {}
        for one in self._drafts:
            for kind, asked, _ in one.found:
                wanted.setdefault(kind.entity, set()).add(asked["uuid"])
        self._rows = {entity: rows_of(session, entity, uuids) for entity, uuids in wanted.items()}
        for one in self._drafts:
            try:
                for kind, asked, _ in one.found:
                    self._check(kind, asked)
            except AthanorError as error:
                one.step.error = error

    @property
    def uuids(self) -> set[UUID]:
        """Return which rows are about to change."""
        return {uuid for rows in self._rows.values() for uuid in rows}

    def _check(self, kind: Kind, asked: Row) -> None:
        """Refuse what belongs to something else than its natural id does."""
        if kind.parent is None or kind.parent_column is None:
            return
        belongs = self._rows[kind.entity][asked["uuid"]][kind.parent_column]
        if belongs != asked[kind.parent_column]:
            word, above = LISTINGS[kind.entity].name, LISTINGS[kind.parent].name
            natural = kind.natural_field or "micrograph_id"
            number = asked[kind.natural[-1]]
            raise Conflict(
                f"{natural}: {number} is {word} {asked['uuid']} of {above} {belongs} already."
            )

    def apply(self) -> None:
        """Write what is asked, as a change would."""
        touched: dict[Entity, dict[UUID, Row]] = {}
        for one in self._drafts:
            if one.step.error is not None:
                continue
            for kind, asked, request in one.found:
                row = self._rows[kind.entity][asked["uuid"]]
                row.update(changes(kind, request))
                row["life_seq"] = max(one.step.seq, row["life_seq"] or 0)
                touched.setdefault(kind.entity, {})[row["uuid"]] = row
        for entity, rows in touched.items():
            for part in chunks(list(rows.values())):
                insert_or_replace(self._session, KINDS[entity].model, part, unique=["uuid"])
