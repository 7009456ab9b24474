"""Store and apply a group of writes in one transaction: each whole, or refused by itself.

The writes of a group came at the same moment, so their order is free: creations go first and
deletions last, each kind set-based.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import or_, update
from sqlmodel import Session, col

from core.errors import AthanorError
from models import inbox, listing
from models.cryoem.emitted import emit_all
from models.cryoem.entities import areas_of
from models.cryoem.intake import AREAS, DOMAIN
from models.cryoem.lookup import WORDS
from models.cryoem.messages import Entity
from models.cryoem.smartem.adopting import Adopted
from models.cryoem.smartem.changing import Changes, check_links, link, register
from models.cryoem.smartem.creating import Draft, draft, insert
from models.cryoem.smartem.deleting import check_deletes, delete
from models.cryoem.smartem.mapping import KINDS
from models.cryoem.smartem.owners import LISTINGS, Owners, by_own_name
from models.cryoem.smartem.taking import Taken
from models.cryoem.smartem.telling import told
from models.cryoem.smartem.writes import (
    After,
    Create,
    Delete,
    Link,
    Overtaken,
    Register,
    Result,
    Step,
    Update,
    Write,
)
from models.cryoem.tables import Grid
from models.inbox import NewMessage
from models.json_text import JsonText
from models.sql import chunks, lock_until_commit, one_of

T = TypeVar("T", bound=Write)

#: How much later news must be to be noted: groups that follow one another need not queue for it.
_NEWS = timedelta(seconds=1)
#: Whose new ones are areas at Athena.
_AREAS = (Entity.SQUARE, Entity.HOLE)


def apply(session: Session, steps: Sequence[Step], *, now: datetime, publish: bool) -> After:
    """Apply writes; a step that is refused has its error, the others their results.

    Args:
        session: The transaction.
        steps: The writes.
        now: The moment that they are of.
        publish: Whether messages of ours are published (`settings.rabbitmq.publishes`).

    Raises:
        Overtaken: Another process, or another of these, made something at the same moment: look
            again, at one after the other.
    """
    after = After()
    owners = Owners(session, _named(steps))
    for one in steps:
        one.write = by_own_name(one.write, owners)
    drafts = draft(_of(steps, Create), owners)
    _locate(steps, owners)
    _lock(session, (one.grid for one in steps if one.error is None))
    taken = Taken(session, drafts)
    for one in drafts:
        taken.claim(one)
    adopted = Adopted(session, [one for one in drafts if one.step.error is None])
    if not adopted.uuids.isdisjoint(getattr(one.write, "uuid", None) for one in steps):
        raise Overtaken
    changes = Changes(session, _of(steps, Update), owners)
    check_links(_of(steps, Link), owners)
    deleted = check_deletes(session, _of(steps, Delete), owners)
    _record(session, [one for one in steps if one.error is None], now)
    made = [one for one in drafts if one.step.error is None]
    insert(session, made)
    adopted.apply()
    changes.apply(_of(steps, Update), after, now=now)
    link(session, _of(steps, Link))
    register(session, _of(steps, Register), after, now=now)
    _show(session, [one for one in steps if one.error is None])
    delete(session, _of(steps, Delete), deleted, now=now)
    _follow_up(session, steps, made, after, now)
    if publish:
        after.bells += emit_all(session, list(told(_done(steps))), publish=True)
    return after


def _of(steps: Sequence[Step], kind: type[T]) -> list[Step]:
    return [one for one in steps if isinstance(one.write, kind) and one.error is None]


def _done(steps: Sequence[Step]) -> list[Step]:
    return [one for one in steps if one.error is None]


def _named(steps: Sequence[Step]) -> dict[Entity, set[UUID]]:
    """Return what must exist for the writes to be possible."""
    wanted: dict[Entity, set[UUID]] = {}
    for one in steps:
        match one.write:
            case Create(entity=entity, parent=parent, requests=requests):
                above, field = KINDS[entity].parent, KINDS[entity].parent_field
                if above is not None and parent is not None:
                    said = {getattr(one, field or "", None) or parent for one in requests}
                    wanted.setdefault(above, set()).update({parent, *said})
            case Link(tile=tile, squares=squares):
                wanted.setdefault(Entity.TILE, set()).add(tile)
                wanted.setdefault(Entity.SQUARE, set()).update(square for square, _ in squares)
            case Update(entity=entity, uuid=uuid) | Delete(entity=entity, uuid=uuid):
                wanted.setdefault(entity, set()).add(uuid)
            case Register(entity=entity, uuid=uuid):
                wanted.setdefault(entity, set()).add(uuid)
    return wanted


def _locate(steps: Sequence[Step], owners: Owners) -> None:
    """Note the grids of what is to be changed, registered or deleted, or that it is not there."""
    for one in steps:
        if isinstance(one.write, Update | Register | Delete):
            try:
                one.grid = owners.require(one.write.entity, one.write.uuid).grid
            except AthanorError as error:
                one.error = error


def _lock(session: Session, grids: Iterable[UUID | None]) -> None:
    for grid in sorted({str(one) for one in grids if one is not None}):
        # Shared: a group waits for an agent's batch, but not for the commit of another group.
        lock_until_commit(session, areas_of(UUID(grid)), shared=True)


def _record(session: Session, steps: Sequence[Step], now: datetime) -> None:
    """Store each write in the inbox: what was asked, by whom, and that it is done."""
    messages = [
        NewMessage(
            source=one.source,
            domain=DOMAIN,
            kind=kind_of(one.write),
            flow=AREAS,
            key=str(one.grid or ""),
            payload=_payload(one.write),
        )
        for one in steps
    ]
    for one, message in zip(steps, inbox.record(session, messages, now=now), strict=True):
        one.message = message


def kind_of(write: Write) -> str:
    """Return the kind of a write's message in the inbox."""
    match write:
        case Create(entity=entity):
            return f"http.{WORDS[entity]}.created"
        case Update(entity=entity):
            return f"http.{WORDS[entity]}.updated"
        case Delete(entity=entity):
            return f"http.{WORDS[entity]}.deleted"
        case Register(entity=entity):
            return f"http.{WORDS[entity]}.registered"
        case Link():
            return "http.tile.linked"


def _payload(write: Write) -> JsonText:
    match write:
        case Create(parent=parent):
            asked = ",".join(write.asked)
            above = "null" if parent is None else f'"{parent}"'
            return JsonText(f'{{"parent":{above},"asked":[{asked}]}}')
        case Update(uuid=uuid, request=request):
            asked = request.model_dump_json(exclude_unset=True)
            return JsonText(f'{{"uuid":"{uuid}","asked":{asked}}}')
        case Link(tile=tile, squares=squares):
            asked = ",".join(
                one.model_copy(update={"gridsquare_uuid": square}).model_dump_json()
                for square, one in squares
            )
            return JsonText(f'{{"uuid":"{tile}","asked":[{asked}]}}')
        case Register(uuid=uuid, count=count):
            return JsonText(f'{{"uuid":"{uuid}","count":{"null" if count is None else count}}}')
        case Delete(uuid=uuid):
            return JsonText(f'{{"uuid":"{uuid}"}}')


def _show(session: Session, steps: Sequence[Step]) -> None:
    """Read what was made and changed as clients are shown it."""
    wanted: dict[Entity, list[UUID]] = {}
    for one in steps:
        if isinstance(one.write, Create | Update):
            wanted.setdefault(one.write.entity, []).extend(_uuids(one))
    shown = {
        (entity, str(row["uuid"])): row
        for entity, uuids in wanted.items()
        for part in chunks(list(dict.fromkeys(uuids)))
        for row in listing.find(session, LISTINGS[entity], part)
    }
    for one in steps:
        if isinstance(one.write, Create | Update):
            entity = one.write.entity
            one.result = Result(tuple(shown[entity, str(uuid)] for uuid in _uuids(one)))


def _uuids(step: Step) -> list[UUID]:
    if isinstance(step.write, Update):
        return [step.write.uuid]
    assert isinstance(step.write, Create)  # noqa: S101 (others show nothing)
    asked: list[UUID] = [getattr(request, "uuid") for request in step.write.requests]  # noqa: B009 (all creations have one)
    return [step.names.get(uuid, uuid) for uuid in asked] if step.names else asked


def _follow_up(
    session: Session, steps: Sequence[Step], made: Sequence[Draft], after: After, now: datetime
) -> None:
    """Wake what waited for what is new, and note which runs and automations must know."""
    grids = {one.grid for one in steps if one.error is None and one.grid is not None}
    old = col(Grid.last_news_at)
    for part in chunks(sorted(grids, key=str)):
        session.execute(
            update(Grid)
            .where(one_of(session, col(Grid.uuid), part), or_(old.is_(None), old < now - _NEWS))
            .values(last_news_at=now)
            .execution_options(synchronize_session=False)
        )
    new: dict[UUID, set[str]] = {}
    for one in made:
        if one.step.grid is None:
            continue
        known = new.setdefault(one.step.grid, set())
        known |= {str(row["uuid"]) for _, row in one.rows}
        known |= {str(alias["uuid"]) for alias in one.aliases}
        if one.write.entity in _AREAS:
            after.bells.append((AREAS, str(one.step.grid)))
        elif one.write.entity is Entity.GRID:
            after.discovered.append(one.step.grid)
    for grid in sorted(new, key=str):
        flows = inbox.wake(session, new[grid], key=str(grid), now=now)
        after.bells += [(flow, str(grid)) for flow in sorted(flows)]
