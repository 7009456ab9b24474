"""The audit: who changed what, written in the transaction that changes it.

While a request that may change something is answered, or a command or a person's word at Prefect
is carried out, a `Trail` says who asked and for what.
Each transaction that is committed meanwhile gets at least one row: those that `note` asked for
and what the session itself knows to have changed, or else one that says what was asked. What
was refused gets a row of its own. The database refuses to change rows; retention deletes old
ones.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import pydantic_core
from sqlalchemy import Index, event, inspect
from sqlmodel import Field, Session, SQLModel

from core.caller import Caller, current_caller
from core.clock import utcnow
from models.base import json_field, sequence_field
from models.json_text import JsonText
from models.sql import insert_ignore


class AuditEntry(SQLModel, table=True):
    """One change, or one attempt that was refused."""

    __tablename__ = "audit_entry"  # pyright: ignore[reportAssignmentType]
    __table_args__ = (
        Index("ix_audit_entry_caller", "caller", "seq"),
        Index("ix_audit_entry_entity_id", "entity_id", "seq"),
    )

    seq: int | None = sequence_field()
    at: datetime = Field(index=True)
    #: As in the answer's X-Request-ID and in the log.
    request_id: str | None = None
    caller: str
    caller_kind: str
    #: The caller's, where they have one and no more.
    organisation: str | None = None
    #: Where the request came from.
    address: str | None = None
    method: str | None = None
    #: The path as the routes have it, with names for what differs.
    route: str | None = None
    #: What was answered; NULL where no request asked.
    status: int | None = None
    #: What was changed: a table's name, or the first part of the path.
    entity: str | None = None
    entity_id: str | None = None
    #: The fields that changed, as they were and as they are; NULL for what was not there.
    before: dict[str, Any] | None = json_field(nullable=True)
    after: dict[str, Any] | None = json_field(nullable=True)


@dataclass
class Trail:
    """A request that may change something; or a command, or a person's word at Prefect."""

    request_id: str | None
    method: str
    address: str | None
    #: The request as the server sees it: holds the route once that is found. Of what is no
    #: request it has `path` and `path_params` alone: see `elsewhere`.
    scope: Mapping[str, Any]
    #: Whether a row tells of it already.
    written: bool = False

    @property
    def route(self) -> str:
        """The path as the routes have it; the path itself where there is no such route."""
        return getattr(self.scope.get("route"), "path", None) or str(self.scope["path"])[:500]


@dataclass(frozen=True)
class Note:
    """One change of one thing."""

    entity: str
    entity_id: str | None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | JsonText | None = None


@dataclass
class _Notes:
    listed: list[Note] = field(default_factory=list)


_INFO: Final = "athanor_audit"
#: Most rows that one transaction gets: what is made by the thousand is told by its first ones.
_MOST: Final = 100
_HIDDEN: Final = "(secret)"
_SECRETS: Final = ("password", "secret", "token", "hash", "api_key")
#: Tables whose rows follow from others, or tell of nothing but themselves.
_UNTOLD: Final = frozenset(
    {
        *("audit_entry", "answer", "drain", "delivery", "session_owner", "refresh_token"),
        "session_restore",
    }
)

_trail: ContextVar[Trail | None] = ContextVar("athanor_trail", default=None)


def elsewhere(method: str, what: str, *, about: object = None, ident: str | None = None) -> Trail:
    """Return the trail of a change that no request asks for.

    Args:
        method: How it is asked for, in place of a request's method: a command, a flow.
        what: Which command or flow, in place of the route.
        about: The id of what it is about.
        ident: In place of the request's id.
    """
    return Trail(ident, method, None, {"path": what, "path_params": {"id": about} if about else {}})


@contextmanager
def following(trail: Trail) -> Iterator[None]:
    """Write down what is changed while the context lasts, in threads started from it too."""
    token = _trail.set(trail)
    try:
        yield
    finally:
        _trail.reset(token)


def current_trail() -> Trail | None:
    """Return the request that is followed, for who works on it elsewhere."""
    return _trail.get()


def watch(session: Session) -> None:
    """Have a session write down what it changes, if a request asks for that."""
    if _trail.get() is not None:
        session.info[_INFO] = _Notes()
        event.listen(session, "before_flush", _note_rows)
        event.listen(session, "before_commit", _write)


def note(
    session: Session,
    entity: str,
    entity_id: object | None,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Have the transaction say what it changed; nothing where no request asks for that.

    Give both with all the fields that there are: those that are the same are left out.
    """
    notes: _Notes | None = session.info.get(_INFO)
    if notes is None or len(notes.listed) >= _MOST:
        return
    old, new = dict(before or {}), dict(after or {})
    same = {name for name in old.keys() & new.keys() if old[name] == new[name]}
    notes.listed.append(
        Note(
            entity,
            None if entity_id is None else str(entity_id),
            None if before is None else told(old, same),
            None if after is None else told(new, same),
        )
    )


def tell(session: Session, changes: Sequence[tuple[Trail, Caller, Note]]) -> None:
    """Write down changes of several requests that one transaction makes."""
    rows = [
        row
        for trail, caller, one in changes
        for row in _rows(trail, caller, [one], _success(trail))
    ]
    _insert(session, rows)
    for trail, _, _ in changes:
        trail.written = True


def record_refusal(session: Session, trail: Trail, caller: Caller, status: int) -> None:
    """Write down an attempt to change something that was refused."""
    _insert(session, _rows(trail, caller, [_asked(trail)], status))


def told(values: Mapping[str, Any], same: Collection[str] = ()) -> dict[str, Any]:
    """Return values as the audit shows them: as JSON, without secrets and what is the same."""
    return {
        name: _HIDDEN if _is_secret(name) and value is not None else _plain(value)
        for name, value in values.items()
        if name not in same
    }


@cache
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRETS)


def _plain(value: Any) -> Any:
    return pydantic_core.to_jsonable_python(value, fallback=str, inf_nan_mode="strings")


def _note_rows(session: Session, _context: object, _instances: object) -> None:
    """Note what the session itself is about to write."""
    for row in (*session.new, *session.dirty, *session.deleted):
        state = inspect(row)
        if state.mapper.local_table.name in _UNTOLD:
            continue
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        for attribute in state.mapper.column_attrs:
            history = state.attrs[attribute.key].history
            if row in session.deleted:
                before[attribute.key] = getattr(row, attribute.key)
            elif history.has_changes():
                after[attribute.key] = history.added[0] if history.added else None
                before[attribute.key] = history.deleted[0] if history.deleted else None
        if not before:
            continue
        key = [getattr(row, column.key) for column in state.mapper.primary_key]
        note(
            session,
            state.mapper.local_table.name,
            " ".join(str(part) for part in key),
            before=None if row in session.new else before,
            after=None if row in session.deleted else after,
        )


def _write(session: Session) -> None:
    trail, notes = _trail.get(), session.info[_INFO]
    if trail is None or session.in_nested_transaction():
        return
    session.flush()
    changes: list[Note] = notes.listed or ([] if trail.written else [_asked(trail)])
    if changes:
        _insert(session, _rows(trail, current_caller(), changes, _success(trail)))
        trail.written = True
        notes.listed = []


def _asked(trail: Trail) -> Note:
    """Return what a request was about, as far as its path tells."""
    names = list((trail.scope.get("path_params") or {}).values())
    return Note(trail.route.strip("/").split("/")[0], str(names[-1])[:500] if names else None)


def _success(trail: Trail) -> int | None:
    if "type" not in trail.scope:
        return None
    return getattr(trail.scope.get("route"), "status_code", None) or HTTPStatus.OK.value


def _rows(
    trail: Trail, caller: Caller, changes: Sequence[Note], status: int | None
) -> list[dict[str, Any]]:
    theirs = caller.organisations
    common = {
        "at": utcnow(),
        "request_id": trail.request_id,
        "caller": caller.name,
        "caller_kind": caller.kind,
        "organisation": next(iter(theirs)) if theirs is not None and len(theirs) == 1 else None,
        "address": trail.address,
        "method": trail.method,
        "route": trail.route,
        "status": status,
    }
    return [{**common, **vars(one)} for one in changes]


def _insert(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    # In one statement, however many: a group of requests is told of together.
    insert_ignore(session, AuditEntry, rows, unique=["seq"])
