"""Groups of holes, and predictions for a group as predictions for its holes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import select, true
from sqlmodel import Session, col

from core.errors import MessageRejected
from models import inbox
from models.cryoem import renamed
from models.cryoem.lookup import grids_of
from models.cryoem.messages import Entity, GroupCreate, GroupPrediction, MultiHolePrediction
from models.cryoem.predictions import Item
from models.cryoem.processing_tables import HoleGroup, HoleGroupMember
from models.inbox import Missing, Received
from models.sql import chunks, insert_ignore, insert_or_replace, one_of

GroupItem = tuple[Received, GroupCreate | GroupPrediction]
#: `seq` of a message → the holes that it names.
_Lists = Mapping[int, tuple[UUID, ...]]


@dataclass
class Grouped:
    """What a batch of messages about groups did."""

    #: Predictions for groups, as predictions for the holes that were in them.
    predictions: list[Item] = field(default_factory=list)
    done: list[Received] = field(default_factory=list)
    waiting: list[Missing] = field(default_factory=list)
    #: Groups that were not known before.
    new: list[UUID] = field(default_factory=list)


@dataclass
class _Group:
    grid: UUID
    #: `seq` of each message that made or changed it → the holes that it named.
    lists: dict[int, tuple[UUID, ...]]

    def at(self, seq: int) -> tuple[UUID, ...]:
        """Return the holes that were in it when the message `seq` came in, or those it began with.

        So a prediction that has to wait is for the same holes as one that has not.
        """
        earlier = [one for one in self.lists if one < seq]
        return self.lists[max(earlier) if earlier else min(self.lists)]


def apply(session: Session, items: Sequence[GroupItem]) -> Grouped:
    """Make and change groups, and spread predictions for a group over its holes.

    The latest list of a group counts. What names a hole or group that is not known yet is
    listed in `waiting`.

    Raises:
        MessageRejected: A group or a hole is of another grid than the message says.
    """
    grouped = Grouped()
    lists = {message.seq: one.targets() for message, one in items if isinstance(one, GroupCreate)}
    groups, holes = _look(session, items, lists)
    if _unknown(items, groups, holes, lists):
        inbox.before_waiting(session)
        lists = _renamed(session, lists, holes)
        groups, holes = _look(session, items, lists)
    before = set(groups)
    made: list[tuple[Received, GroupCreate]] = []
    for message, one in items:
        if isinstance(one, GroupPrediction):
            continue
        named = lists[message.seq]
        missing = next((hole for hole in named if hole not in holes), None)
        if missing is not None:
            grouped.waiting.append(Missing(message, "hole", str(missing)))
            continue
        group = groups.setdefault(one.group_uuid, _Group(one.grid_uuid, {}))
        _check(one, group, named, holes)
        group.lists[message.seq] = named
        made.append((message, one))
    _write(session, made, lists)
    grouped.done = [message for message, _ in made]
    grouped.new = list({one.group_uuid for _, one in made} - before)
    for message, one in items:
        if isinstance(one, GroupPrediction):
            group = groups.get(one.group_uuid)
            if group is None:
                grouped.waiting.append(Missing(message, "group", str(one.group_uuid)))
            else:
                grouped.predictions.append((message, _spread(one, group.at(message.seq))))
    return grouped


def _look(
    session: Session, items: Sequence[GroupItem], lists: _Lists
) -> tuple[dict[UUID, _Group], dict[UUID, UUID]]:
    wanted = {hole for named in lists.values() for hole in named}
    return _groups(session, items), grids_of(session, {Entity.HOLE: wanted})


def _renamed(session: Session, lists: _Lists, known: Mapping[UUID, UUID]) -> _Lists:
    """Name holes by their rows' own uuids, each once."""
    unknown = {hole for named in lists.values() for hole in named if hole not in known}
    names = renamed.targets(session, unknown)
    return {
        seq: tuple(dict.fromkeys(names.get(hole, hole) for hole in named))
        for seq, named in lists.items()
    }


def _groups(session: Session, items: Sequence[GroupItem]) -> dict[UUID, _Group]:
    """Return the known ones of the groups, with the lists that predictions need."""
    groups: dict[UUID, _Group] = {}
    latest: dict[UUID, int] = {}
    for part in chunks(list({one.group_uuid for _, one in items})):
        columns = (col(HoleGroup.uuid), col(HoleGroup.grid_uuid), col(HoleGroup.message_seq))
        statement = select(*columns).where(one_of(session, columns[0], part))
        for uuid, grid, seq in session.execute(statement):
            groups[uuid] = _Group(grid, {})
            latest[uuid] = seq
    predicted = [(one.group_uuid, m.seq) for m, one in items if isinstance(one, GroupPrediction)]
    wanted = {uuid for uuid, _ in predicted if uuid in groups}
    late = {uuid for uuid, seq in predicted if uuid in groups and seq < latest[uuid]}
    for condition, uuids in (
        (col(HoleGroup.message_seq) == col(HoleGroupMember.message_seq), wanted - late),
        (true(), late),
    ):
        for part in chunks(list(uuids)):
            statement = (
                select(HoleGroupMember)
                .join(HoleGroup, col(HoleGroup.uuid) == col(HoleGroupMember.group_uuid))
                .where(one_of(session, col(HoleGroupMember.group_uuid), part), condition)
                .order_by(col(HoleGroupMember.hole_uuid))
            )
            for row in session.scalars(statement):
                lists = groups[row.group_uuid].lists
                lists[row.message_seq] = (*lists.get(row.message_seq, ()), row.hole_uuid)
    return groups


def _unknown(
    items: Sequence[GroupItem],
    groups: Mapping[UUID, _Group],
    holes: Mapping[UUID, UUID],
    lists: _Lists,
) -> bool:
    made = {one.group_uuid for _, one in items if isinstance(one, GroupCreate)}
    return any(
        one.group_uuid not in groups and one.group_uuid not in made
        if isinstance(one, GroupPrediction)
        else any(hole not in holes for hole in lists[message.seq])
        for message, one in items
    )


def _check(
    one: GroupCreate, group: _Group, named: Sequence[UUID], holes: Mapping[UUID, UUID]
) -> None:
    if group.grid != one.grid_uuid:
        raise MessageRejected(
            f"group_uuid: is a group of grid {group.grid} already", fields=["group_uuid"]
        )
    for hole in named:
        if holes[hole] != one.grid_uuid:
            raise MessageRejected(
                f"foilhole_uuids: hole {hole} is on grid {holes[hole]}", fields=["foilhole_uuids"]
            )


def _spread(one: GroupPrediction, holes: tuple[UUID, ...]) -> MultiHolePrediction:
    return MultiHolePrediction(
        message_id=one.message_id,
        prediction_model_name=one.prediction_model_name,
        prediction_value=one.prediction_value,
        metric=one.metric,
        foilhole_uuids=holes,
        grid_uuid=None,
        foilhole_ids=(),
    )


def _write(session: Session, made: Sequence[tuple[Received, GroupCreate]], lists: _Lists) -> None:
    rows = {
        one.group_uuid: {
            "uuid": one.group_uuid,
            "grid_uuid": one.grid_uuid,
            "name": one.name,
            "message_seq": message.seq,
            "message_uuid": message.id,
            "updated_at": message.received_at,
        }
        for message, one in sorted(made, key=lambda item: item[0].seq)
    }
    insert_or_replace(
        session, HoleGroup, list(rows.values()), unique=["uuid"], unless_newer="message_seq"
    )
    members = [
        {"group_uuid": one.group_uuid, "message_seq": message.seq, "hole_uuid": hole}
        for message, one in made
        for hole in lists[message.seq]
    ]
    insert_ignore(
        session, HoleGroupMember, members, unique=["group_uuid", "message_seq", "hole_uuid"]
    )
