"""Read the audit."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field
from sqlalchemy import select
from sqlmodel import Session, col

from core.clock import written_out
from models.athena import Time
from models.audit import AuditEntry
from models.paging import Keyset, Page, View

_Key: TypeAlias = tuple[Annotated[int, Field(ge=0, lt=2**63)]]
_KEYSET: Keyset[tuple[int]] = Keyset(_Key)


class AuditView(View):
    """One change, or one attempt that was refused."""

    seq: int = Field(description="Its number; later ones are higher.")
    at: datetime = Field(description="When.")
    request_id: str | None = Field(description="As in the answer's X-Request-ID and in the log.")
    caller: str = Field(description="Who.")
    caller_kind: str = Field(
        description="user, client, key, or anyone; system: a command; unverified: a name that "
        "somebody typed into a page of Prefect."
    )
    organisation: str | None = Field(description="Theirs, where they have one and no more.")
    address: str | None = Field(description="Where the request came from.")
    method: str | None = Field(description="Method of the request; or command, prefect.")
    route: str | None = Field(
        description="Its path, with names for what differs; or which command or flow."
    )
    status: int | None = Field(description="What was answered; 400 and above: refused.")
    entity: str | None = Field(description="What kind of thing was changed.")
    entity_id: str | None = Field(description="Which one.")
    before: dict[str, Any] | None = Field(description="What changed, as it was.")
    after: dict[str, Any] | None = Field(description="What changed, as it is.")


_Moment: TypeAlias = Annotated[Time, BeforeValidator(written_out)]
_Words: TypeAlias = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]


class AuditFilter(View):
    """Which entries to list; null means all."""

    caller: _Words | None = Field(None, description="Only by this caller.", examples=["anna"])
    entity: _Words | None = Field(
        None, description="Only of this kind of thing.", examples=["grid"]
    )
    entity_id: _Words | None = Field(None, description="Only of this thing.")
    since: _Moment | None = Field(None, description="Only from then on.")
    until: _Moment | None = Field(None, description="Only before then.")
    refused: bool | None = Field(
        None, description="true: only what was refused; false: only what was done."
    )

    def conditions(self) -> list[Any]:
        """Return the SQL conditions."""
        found = [
            col(getattr(AuditEntry, name)) == value
            for name in ("caller", "entity", "entity_id")
            if (value := getattr(self, name)) is not None
        ]
        if self.since is not None:
            found.append(col(AuditEntry.at) >= self.since)
        if self.until is not None:
            found.append(col(AuditEntry.at) < self.until)
        if self.refused is not None:
            status = col(AuditEntry.status)
            # What no request asked for has no answer, and was done.
            done = status.is_(None) | (status < 400)
            found.append(status >= 400 if self.refused else done)
        return found


def list_audit(
    session: Session, wanted: AuditFilter, *, limit: int, cursor: str | None = None
) -> Page[AuditView]:
    """Return entries, newest first."""
    statement = (
        select(AuditEntry)
        .where(*wanted.conditions())
        .order_by(col(AuditEntry.seq).desc())
        .limit(limit + 1)
    )
    after = _KEYSET.read(cursor)
    if after is not None:
        statement = statement.where(col(AuditEntry.seq) < after[0])
    return _KEYSET.page(
        session.scalars(statement).all(),
        limit,
        key=lambda row: (row.seq or 0,),
        view=lambda rows: [AuditView.model_validate(row) for row in rows],
    )
