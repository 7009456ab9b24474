"""Count what a rule concerns, and do it in steps that are transactions of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    any_,
    column,
    delete,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlmodel import Session, SQLModel

from models.retention.conditions import Reckoning
from models.retention.rules import Rule
from models.sql import table_of

#: Until the end of the transaction.
_BY_INDEX: Final = select(
    *(func.set_config(f"enable_{way}", "off", True) for way in ("seqscan", "bitmapscan"))
)

#: The key of a row, in the order of the table's primary key.
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Step:
    """What one step did, and after which row the next begins; None when it was the last."""

    rows: int
    after: Key | None


def count(session: Session, rule: Rule, of: Reckoning) -> int:
    """Return how many rows a rule concerns now."""
    return count_where(session, rule.table, rule.condition(of))


def apply(session: Session, rule: Rule, of: Reckoning, *, after: Key | None) -> Step:
    """Do what a rule says to its next rows, at most as many as the policy's batch."""
    change = rule.change(of) if rule.change else None
    return step(
        session, rule.table, rule.condition(of), limit=of.policy.batch, after=after, change=change
    )


def count_where(session: Session, model: type[SQLModel], condition: ColumnElement[bool]) -> int:
    """Return how many rows of a table a condition fits."""
    return session.scalar(select(func.count()).select_from(model).where(condition)) or 0


def step(
    session: Session,
    model: type[SQLModel],
    condition: ColumnElement[bool],
    *,
    limit: int,
    after: Key | None = None,
    change: Mapping[str, Any] | None = None,
) -> Step:
    """Delete (or change) the next rows that fit, in the order of their keys.

    It begins after a key, so that rows that stay are looked at once and not in each step.
    """
    keys = list(table_of(model).primary_key.columns)
    wanted = select(*keys).where(condition).order_by(*keys).limit(limit)
    if after is not None:
        wanted = wanted.where(_key(keys) > _value(keys, after))
    # Who works on a row meanwhile keeps it; it is there the next time.
    found = [tuple(row) for row in session.execute(wanted.with_for_update(skip_locked=True))]
    if found:
        chosen = _among(keys, found)
        # What was read is asked for again: on PostgreSQL it may have changed in between.
        done = session.execute(
            (delete(model) if change is None else update(model).values(**change))
            .where(chosen, condition)
            .execution_options(synchronize_session=False)
        ).rowcount  # pyright: ignore[reportAttributeAccessIssue]
    else:
        done = 0
    return Step(done, found[-1] if len(found) == limit else None)


def some(
    session: Session,
    model: type[SQLModel],
    condition: ColumnElement[bool],
    *,
    limit: int,
    change: Mapping[str, Any] | None = None,
) -> int:
    """Delete (or change) so many of the rows that fit, in no order; return how many there were.

    None that fitted stays or is passed over but who works on a row meanwhile keeps it: so each
    step looks at little more than it deletes, however many rows there are.
    """
    table = table_of(model)
    if session.get_bind().dialect.name == "sqlite":
        place: Any = column("rowid")
        chosen = place.in_(select(place).select_from(table).where(condition).limit(limit))
    else:
        # Planned for few of many rows: what a session has lies together, and not at the front.
        session.execute(_BY_INDEX)
        place = column("ctid")
        wanted = select(place).select_from(table).where(condition).limit(limit)
        locked = wanted.with_for_update(skip_locked=True, of=table)
        chosen = place == any_(func.array(locked.correlate(None).scalar_subquery()))
    return session.execute(
        (delete(model) if change is None else update(model).values(**change))
        .where(chosen)
        .execution_options(synchronize_session=False)
    ).rowcount  # pyright: ignore[reportAttributeAccessIssue]


def _key(keys: Sequence[Any]) -> Any:
    return keys[0] if len(keys) == 1 else tuple_(*keys)


def _value(keys: Sequence[Any], value: Key) -> Any:
    bound = [literal(one, column.type) for column, one in zip(keys, value, strict=True)]
    return bound[0] if len(bound) == 1 else tuple_(*bound)


def _among(keys: Sequence[Any], found: Sequence[Key]) -> ColumnElement[bool]:
    if len(keys) == 1:
        return keys[0].in_([one for (one,) in found])
    return tuple_(*keys).in_(found)
