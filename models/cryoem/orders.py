"""Tell Athena in which order to collect: the next squares, and on each the next holes.

Two kinds of `acquisitionOrder` (decision 0013): one about the grid's atlas, over squares, and one
about each of these squares, over holes. Only the next holes are told: what comes later changes
with every measurement, and the microscope asks again before it gets there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import Session, col

from domains.cryoem import ids
from domains.cryoem.planning import Plan
from domains.cryoem.policy import Policy
from models import outbox
from models.columns import hex_of
from models.cryoem.decision_tables import CurrentPrediction, Decision, Level
from models.cryoem.decisions import KIND, ORDER, SUBMIT
from models.cryoem.grid_state import GridRead
from models.cryoem.tables import Hole, Square
from models.cryoem.told import Told, told
from models.sql import chunks, insert_ignore, one_of

#: So many of an order's areas are named in its details.
_EXPLAINED = 3


@dataclass(frozen=True)
class Place:
    """A square or hole in an order, and why it has this place; of a square, its first hole."""

    area: UUID
    expected: float
    uncertainty: float
    cost: float

    def as_json(self, position: int) -> dict[str, Any]:
        """Return what is kept of it."""
        return {
            "position": position,
            "expected": self.expected,
            "uncertainty": self.uncertainty,
            "cost": self.cost,
        }


@dataclass(frozen=True)
class Order:
    """An order to tell: about the atlas or a square, over squares or holes."""

    area: UUID
    level: Level
    places: tuple[Place, ...]
    #: Those that are not collected yet, told or not.
    still_open: frozenset[str]

    @property
    def subject(self) -> str:
        """What it speaks about."""
        return f"{ORDER}/{self.area}"


def next_orders(grid: UUID, read: GridRead, plan: Plan, count: int) -> list[Order]:
    """Return the orders over the next `count` holes of the plan; none for a plan without holes."""
    first = plan.order[:count]
    if not len(first):
        return []
    eligible = read.state.eligible
    squares = [UUID(square) for square in hex_of(read.squares)]
    holes = [
        Place(UUID(hole), *(round(float(value), 6) for value in said))
        for hole, *said in zip(
            hex_of(read.holes[first]),
            plan.expected[:count],
            plan.uncertainty[:count],
            plan.cost[:count],
            strict=True,
        )
    ]
    on_square: dict[int, list[Place]] = {}
    for square, place in zip(read.state.square[first].tolist(), holes, strict=True):
        on_square.setdefault(square, []).append(place)
    open_squares = set(read.state.square[eligible].tolist())
    over_squares = Order(
        ids.atlas_uuid(grid),
        Level.SQUARE,
        tuple(
            Place(squares[square], of[0].expected, of[0].uncertainty, of[0].cost)
            for square, of in on_square.items()
        ),
        frozenset(str(squares[square]) for square in open_squares),
    )
    return [
        over_squares,
        *(
            Order(
                squares[square],
                Level.HOLE,
                tuple(of),
                frozenset(
                    str(UUID(hole))
                    for hole in hex_of(read.holes[eligible & (read.state.square == square)])
                ),
            )
            for square, of in on_square.items()
        ),
    ]


def tell(
    session: Session,
    grid: UUID,
    orders: Sequence[Order],
    *,
    planner: str,
    policy: Policy,
    now: datetime,
    flow_run_id: str | None,
) -> int:
    """Put the orders in the outbox that Athena was not told; return how many.

    An order whose beginning was told, less what was collected since, is not told again while it
    is at least half as long.
    """
    before = told(session, [order.subject for order in orders])
    news = [order for order in orders if _is_news(order, before.get(order.subject))]
    if not news:
        return 0
    areas = {place.area for order in news for place in order.places}
    basis = _basis(session, areas | {order.area for order in news})
    names = _epu_ids(session, areas)
    rows = [
        {
            "id": _id(grid, order, before.get(order.subject)),
            "grid_uuid": grid,
            "area_uuid": order.area,
            "level": order.level,
            "decision_type": ORDER,
            "outcome": {
                str(place.area): place.as_json(n) for n, place in enumerate(order.places, 1)
            },
            "basis": {
                str(area): basis[area]
                for area in (order.area, *(place.area for place in order.places))
                if area in basis
            },
            "plugin_type": policy.plugin_type,
            "decided_by": policy.decided_by,
            "details": _details(planner, order, names),
            "made_at": now,
            "flow_run_id": flow_run_id,
        }
        for order in news
    ]
    insert_ignore(session, Decision, rows, unique=["id"])
    outbox.supersede(session, [order.subject for order in news], keep=[])
    outbox.put(
        session,
        [
            {
                "id": row["id"],
                "domain": "cryoem",
                "kind": KIND,
                "flow": SUBMIT,
                "key": str(grid),
                "subject": order.subject,
                "payload": {"decision_id": str(row["id"])},
                # It waits for its turn on purpose, so it has no latency to be counted.
                "caused_at": None,
            }
            for row, order in zip(rows, news, strict=True)
        ],
        now=now,
    )
    return len(news)


def _is_news(order: Order, before: Told | None) -> bool:
    if before is None or before.outcome is None:
        return True
    known = sorted(before.outcome.items(), key=lambda item: item[1]["position"])
    left = [area for area, _ in known if area in order.still_open]
    wanted = [str(place.area) for place in order.places]
    return left[: len(wanted)] != wanted[: len(left)] or 2 * len(left) < len(wanted)


def _id(grid: UUID, order: Order, before: Told | None) -> UUID:
    """Return an id that rests on the order and on what it follows: an order may come again."""
    digest = sha256(b"".join(place.area.bytes for place in order.places)).hexdigest()
    follows = "" if before is None else before.last
    return ids.decision_uuid(grid, order.area, ORDER, f"{follows}:{digest}")


def _basis(session: Session, areas: set[UUID]) -> dict[UUID, int]:
    """Return the newest message that predicted each area."""
    found: dict[UUID, int] = {}
    target = col(CurrentPrediction.target_uuid)
    for part in chunks(sorted(areas)):
        statement = (
            select(target, func.max(col(CurrentPrediction.message_seq)))
            .where(one_of(session, target, part))
            .group_by(target)
        )
        found |= {area: seq for area, seq in session.execute(statement)}  # noqa: C416 (a Row is no pair to dict())
    return found


def _epu_ids(session: Session, areas: set[UUID]) -> Mapping[UUID, int]:
    found: dict[UUID, int] = {}
    for uuid, ident in (
        (col(Square.uuid), col(Square.square_id)),
        (col(Hole.uuid), col(Hole.hole_id)),
    ):
        for part in chunks(sorted(areas)):
            rows = session.execute(select(uuid, ident).where(one_of(session, uuid, part)))
            found |= {area: number for area, number in rows}  # noqa: C416 (as above)
    return found


def _details(planner: str, order: Order, names: Mapping[UUID, int]) -> str:
    first = "; ".join(
        f"{names[place.area]}: expected {place.expected:.3g} ± {place.uncertainty:.2g}, "
        f"{place.cost:g} min"
        for place in order.places[:_EXPLAINED]
    )
    what = "squares" if order.level == Level.SQUARE else "holes"
    of = " (of each its first hole)" if order.level == Level.SQUARE else ""
    return f"{planner}: the next {len(order.places)} {what}{of}; {first}"
