"""What comes in is stored or refused whole, and what is stored is worked on."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlmodel import col

from core.clock import utcnow
from core.errors import PrefectUnavailable
from messaging.doorbell import LocalDoorbell
from models import drain, inbox
from models.base import DeliveryState
from models.database import Database
from models.inbox import InboxMessage
from tasks.intake import MessagesRejected, accept, as_payload, reinject
from tests.database_fixtures import statements
from tests.integration.models.factories import (
    Site,
    hole_body,
    multi_body,
    new_message,
    plant,
    session_message,
    square_body,
    store,
)


class Launches:
    """Stands in for Prefect's API: notes which runs it was asked for."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.emitted: list[tuple[str, Mapping[str, Any]]] = []
        self.fails = fails

    async def launch(
        self, deployment: str, parameters: Mapping[str, Any], **_options: object
    ) -> UUID:
        if self.fails:
            raise PrefectUnavailable
        self.asked.append((deployment, dict(parameters)))
        return uuid4()

    def emit(self, event: str, resource_id: str, payload: Mapping[str, Any]) -> None:
        self.emitted.append((event, payload))


@dataclass(frozen=True)
class House:
    """What intake needs."""

    database: Database
    doorbell: LocalDoorbell = field(default_factory=LocalDoorbell)
    launcher: Any = field(default_factory=Launches)


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


@pytest.fixture
def site(database: Database) -> Site:
    return plant(database)


def _rows(house: House) -> list[InboxMessage]:
    with house.database.reading() as session:
        return list(session.scalars(select(InboxMessage).order_by(col(InboxMessage.seq))))


def _only(house: House) -> InboxMessage:
    (row,) = _rows(house)
    return row


async def test_prediction_is_stored_for_its_grid_and_a_run_launched(
    house: House, site: Site
) -> None:
    accepted = await accept(house, [hole_body(site.holes[0], 0.5)], source="test")

    row = _only(house)
    assert [one.id for one in accepted.stored] == [row.id]
    assert (row.state, row.flow, row.key) == ("pending", "ingest-predictions", str(site.grid))
    assert row.kind == "foilhole.model_prediction"
    assert house.launcher.asked == [
        ("ingest-predictions/ingest-predictions", {"grid_uuid": str(site.grid)})
    ]
    assert accepted.launched == 1


async def test_where_a_hole_belongs_is_asked_once_by_one_who_remembers(
    house: House, site: Site
) -> None:
    known: dict[UUID, UUID] = {}
    with statements(house.database) as first:
        await accept(house, [hole_body(site.holes[0], 0.5)], source="test", known=known)
    with statements(house.database) as second:
        await accept(house, [hole_body(site.holes[0], 0.6)], source="test", known=known)

    assert [row.key for row in _rows(house)] == [str(site.grid)] * 2
    assert [_asks_for_holes(one) for one in (first, second)] == [True, False]


async def test_what_is_not_known_is_asked_for_again(house: House) -> None:
    known: dict[UUID, UUID] = {}
    hole = uuid4()
    await accept(house, [hole_body(hole, 0.5)], source="test", known=known)
    with statements(house.database) as seen:
        await accept(house, [hole_body(hole, 0.6)], source="test", known=known)

    assert [row.state for row in _rows(house)] == ["waiting", "waiting"]
    assert _asks_for_holes(seen)


def _asks_for_holes(seen: Sequence[str]) -> bool:
    return any("FROM hole" in statement for statement in seen)


async def test_epu_message_is_stored_for_the_grid_that_it_names(house: House) -> None:
    message = session_message()
    await accept(house, [message.model_dump(mode="json")], source="agent")

    row = _only(house)
    assert (row.flow, row.key, row.kind) == (
        "register-areas",
        str(message.grid_uuid),
        "epu.session",
    )


async def test_many_messages_launch_one_run_each_key(house: House, site: Site) -> None:
    bodies = [hole_body(hole, 0.5) for hole in site.holes] + [square_body(site.squares[0], 0.1)]
    bodies.append(session_message().model_dump(mode="json"))

    assert (await accept(house, bodies, source="test")).launched == 2
    assert (await accept(house, bodies, source="test")).launched == 0
    assert len(house.launcher.asked) == 2


async def test_run_that_works_on_the_key_is_woken_instead_of_launched(
    house: House, site: Site
) -> None:
    key = str(site.grid)
    await house.database.write(
        drain.begin,
        flow="ingest-predictions",
        key=key,
        holder="run",
        now=utcnow(),
        lease_seconds=300,
    )
    with house.doorbell.listening("ingest-predictions", key) as event:
        accepted = await accept(house, [hole_body(site.holes[0], 0.5)], source="test")

        assert event.is_set()
    assert accepted.launched == 0


async def test_failed_launch_leaves_the_message_to_the_next_ring(
    database: Database, site: Site
) -> None:
    house = House(database, launcher=Launches(fails=True))
    accepted = await accept(house, [hole_body(site.holes[0], 0.5)], source="test")
    assert (accepted.launched, _only(house).state) == (0, "pending")

    house.launcher.fails = False
    assert (await accept(house, [hole_body(site.holes[0], 0.5)], source="test")).launched == 1


async def test_message_without_prefect_is_stored_all_the_same(
    database: Database, site: Site
) -> None:
    house = House(database, launcher=None)
    accepted = await accept(house, [hole_body(site.holes[0], 0.5)], source="test")

    assert (accepted.launched, _only(house).state) == (0, "pending")


async def test_repeated_message_is_stored_and_rung_once(house: House, site: Site) -> None:
    body = hole_body(site.holes[0], 0.5, message_id="m")
    first = await accept(house, [body], source="test")
    await house.database.write(drain.unring, flow="ingest-predictions", key=str(site.grid))
    again = await accept(house, [body, body], source="test")

    assert len(_rows(house)) == 1
    assert {one.id for one in (*first.stored, *again.stored)} == {_only(house).id}
    assert [one.repeated for one in again.stored] == [True, True]
    assert len(house.launcher.asked) == 1


async def test_id_in_the_body_goes_before_the_one_from_outside(house: House, site: Site) -> None:
    bodies = [hole_body(site.holes[0], 0.5, message_id="inner"), hole_body(site.holes[0], 0.5)]
    await accept(house, bodies, source="test", message_ids=["outer", "outer"])

    assert [row.message_id for row in _rows(house)] == ["inner", "outer"]
    # It has its own column, and is no part of what the message says.
    assert all("message_id" not in row.payload for row in _rows(house))


async def test_prediction_of_an_unknown_hole_waits_for_it(house: House) -> None:
    hole = uuid4()
    accepted = await accept(house, [hole_body(hole, 0.5)], source="test")

    row = _only(house)
    assert (row.state, row.key, row.waiting_for) == (DeliveryState.WAITING, "", str(hole))
    assert row.error == f"waits for hole {hole}"
    assert accepted.launched == 0


async def test_waiting_prediction_is_woken_for_its_grid(house: House, site: Site) -> None:
    hole = uuid4()
    await accept(house, [hole_body(hole, 0.5)], source="test")

    flows = await house.database.write(inbox.wake, [str(hole)], key=str(site.grid), now=utcnow())

    assert flows == {"ingest-predictions"}
    assert (_only(house).state, _only(house).key) == (DeliveryState.PENDING, str(site.grid))


async def test_prediction_that_names_its_grid_needs_no_look(house: House) -> None:
    grid = uuid4()
    body = hole_body(uuid4(), 0.5, grid_uuid=str(grid), foilhole_id=7, foilhole_uuid=None)
    await accept(house, [body], source="test")

    assert (_only(house).state, _only(house).key) == (DeliveryState.PENDING, str(grid))


async def test_prediction_for_many_goes_to_the_grid_of_those_known(
    house: House, site: Site
) -> None:
    await accept(house, [multi_body([uuid4(), *site.holes], 0.5)], source="test")

    assert _only(house).key == str(site.grid)


async def test_unreadable_file_is_kept_for_people_to_see(house: House) -> None:
    failure = {
        "event_type": "epu.failure",
        "path": "/epu/a.xml",
        "reason": "ends too early",
        "observed_at": "2026-01-01T00:00:00Z",
    }
    await accept(house, [failure], source="agent")

    row = _only(house)
    assert (row.state, row.error) == (DeliveryState.DEAD, "/epu/a.xml: ends too early")


async def test_one_wrong_message_refuses_all_and_is_named(house: House, site: Site) -> None:
    bodies: list[object] = [
        hole_body(site.holes[0], 0.5),
        hole_body(site.holes[0], 7),
        "no message",
    ]
    with pytest.raises(MessagesRejected) as raised:
        await accept(house, bodies, source="test")

    assert [(p.index, p.fields) for p in raised.value.problems] == [
        (1, ("prediction_value",)),
        (2, ("event_type",)),
    ]
    assert "message 1: prediction_value" in str(raised.value)
    assert _rows(house) == []
    assert house.launcher.asked == []


async def test_wrong_messages_of_deaf_senders_are_kept_dead(house: House, site: Site) -> None:
    bodies: list[object] = [hole_body(site.holes[0], 0.5), hole_body(site.holes[0], math.nan)]
    accepted = await accept(
        house, bodies, source="amqp", message_ids=["a", "b"], keep_rejected=True
    )

    good, bad = _rows(house)
    assert [one.id for one in accepted.stored] == [good.id, bad.id]
    assert (good.state, bad.state) == (DeliveryState.PENDING, DeliveryState.DEAD)
    assert (bad.message_id, bad.kind) == ("b", "foilhole.model_prediction")
    assert bad.payload["prediction_value"] == "nan"
    assert bad.error is not None
    assert "prediction_value" in bad.error


async def test_messages_kept_dead_are_told_in_one_event_and_a_repeat_is_not(
    house: House, site: Site
) -> None:
    failure = {
        "event_type": "epu.failure",
        "path": "/x/a.dm",
        "reason": "broken",
        "observed_at": "2026-01-01T00:00:00Z",
    }
    bodies: list[object] = [hole_body(site.holes[0], math.nan), failure, {"event_type": "dance"}]
    for _ in range(2):
        accepted = await accept(
            house, bodies, source="amqp", message_ids=["a", "b", "c"], keep_rejected=True
        )

    ((event, payload),) = house.launcher.emitted
    assert event == "athanor.cryoem.message.dead"
    assert payload["count"] == "3"
    assert payload["message_id"] == str(accepted.stored[0].id)
    assert "prediction_value" in payload["reason"]


@pytest.mark.parametrize(
    "body",
    [
        None,
        7,
        "text",
        [1, math.inf],
        b"bytes",
        {"event_type": "a\x00b"},
        {"event_type": "\ud800", "\x00": "\udfff"},
        {"event_type": {"nested": math.nan}},
        {"deep": json.loads("[" * 400 + "]" * 400)},
        {"event_type": "x" * 5_000},
        {"event_type": "foilhole.model_prediction", "prediction_value": 10**400},
    ],
    ids=repr,
)
async def test_anything_can_be_kept_dead(house: House, body: object) -> None:
    await accept(house, [body], source="amqp", message_ids=["\x00 \ud800"], keep_rejected=True)

    row = _only(house)
    assert row.state == DeliveryState.DEAD
    assert row.error


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    # JSONB keeps a large float as the integer that its digits are.
    | st.floats(-1e15, 1e15)
    | st.sampled_from([math.nan, math.inf, -math.inf])
    | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(body=json_values)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_json_is_stored_as_json(house: House, body: object) -> None:
    payload = as_payload(body)
    with house.database.reading() as session:
        inbox.store(session, [new_message(payload=payload, message_id="x")], now=utcnow())
        row = session.execute(select(InboxMessage)).scalar_one()
        session.expire_all()

        assert session.get(InboxMessage, row.seq).payload == payload  # type: ignore[union-attr]
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload


# Again --------------------------------------------------------------------------------------


async def test_message_injected_again_is_worked_on(house: House, site: Site) -> None:
    body = hole_body(site.holes[0], 0.5)
    (stored,) = store(
        house.database,
        new_message("", state=DeliveryState.DEAD, error="gave up", payload=body),
    )
    (outcome,) = await reinject(house, [stored.id])

    row = _only(house)
    assert (outcome.id, outcome.state, outcome.reason) == (row.id, DeliveryState.PENDING, None)
    assert (row.state, row.attempts, row.error) == (DeliveryState.PENDING, 0, None)
    assert (row.flow, row.key) == ("ingest-predictions", str(site.grid))
    assert len(house.launcher.asked) == 1


async def test_message_injected_again_may_have_to_wait(house: House) -> None:
    body = hole_body(uuid4(), 0.5)
    (stored,) = store(house.database, new_message(state=DeliveryState.DEAD, payload=body))
    (outcome,) = await reinject(house, [stored.id])

    assert outcome.state == DeliveryState.WAITING
    assert outcome.reason == f"waits for hole {body['foilhole_uuid']}"
    assert house.launcher.asked == []


async def test_wrong_message_injected_again_is_dead_again(house: House) -> None:
    await accept(house, [{"event_type": "dance"}], source="amqp", keep_rejected=True)
    (outcome,) = await reinject(house, [_only(house).id])

    assert (outcome.state, _only(house).state) == (DeliveryState.DEAD, DeliveryState.DEAD)
    assert "event_type" in (outcome.reason or "")


async def test_hundred_messages_are_injected_again_in_few_statements(
    house: House, site: Site
) -> None:
    known, unknown = hole_body(site.holes[0], 0.5), hole_body(uuid4(), 0.5)
    bodies = [known, unknown, {"event_type": "dance"}] * 33 + [known]
    dead = [new_message("", state=DeliveryState.DEAD, payload=body) for body in bodies]
    ids = [one.id for one in store(house.database, *dead)]

    with statements(house.database) as seen:
        outcomes = await reinject(house, ids)

    assert len(seen) <= 20
    states = ["pending", "waiting", "dead"] * 33 + ["pending"]
    assert [(one.id, one.state) for one in outcomes] == list(zip(ids, states, strict=True))
    with house.database.reading() as session:
        rows = list(session.scalars(select(InboxMessage).order_by(col(InboxMessage.seq))))
        assert [(row.state, row.error) for row in rows] == [
            (one.state, one.reason) for one in outcomes
        ]
        assert {row.waiting_for for row in rows} == {None, unknown["foilhole_uuid"]}


@pytest.mark.parametrize("state", ["pending", "claimed", "done"])
async def test_message_that_needs_no_help_is_left_alone(house: House, state: str) -> None:
    (stored,) = store(house.database, new_message(state=DeliveryState(state)))

    assert await reinject(house, [stored.id, uuid4()]) == []
    assert _only(house).state == state


async def test_messages_accepted_at_once_are_all_stored(house: House, site: Site) -> None:
    def batch(number: int) -> Sequence[object]:
        return [hole_body(site.holes[0], 0.5, message_id=f"{number}-{n}") for n in range(10)]

    await asyncio.gather(*(accept(house, batch(number), source="test") for number in range(8)))

    assert len(_rows(house)) == 80
    assert len(house.launcher.asked) == 1
