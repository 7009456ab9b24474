"""What decisions mean for the agents that are instructed about a grid, on both databases."""

import pytest
from sqlalchemy import select
from sqlmodel import col

from core.clock import utcnow
from domains.cryoem.instructions import Ack, Mode, Thresholds
from models.cryoem.decision_tables import Decision
from models.cryoem.instructions import making, sessions
from models.cryoem.instructions.acking import Said
from models.cryoem.instructions.sessions import NewSession
from models.cryoem.instructions.tables import AgentSession, Instruction
from models.cryoem.intake import SCORES
from tasks.cryoem import agent_streams
from tasks.cryoem.channel_writes import ChannelWriter
from tasks.cryoem.instruct_from_decisions import AWAITING
from tests.integration.models.factories import hole_body, square_body
from tests.integration.tasks.message_rig import Plot, Rig

FORWARD = "microscope.control.reorder_gridsquares"
SKIP = "microscope.control.skip_gridsquares"
HOLES = "microscope.control.reorder_foilholes"


async def open_session(rig: Rig, plot: Plot, mode: Mode, **values: object) -> str:
    await rig.tell(*plot.files())
    new = NewSession("epu-agent-1", grid=plot.grid, mode=mode, **values)  # pyright: ignore[reportArgumentType]
    opened = await rig.database.write(sessions.open_session, new, now=utcnow())
    return opened.session_id


def instructions(rig: Rig) -> list[Instruction]:
    return rig.all(
        select(Instruction).order_by(col(Instruction.session_id), col(Instruction.sequence_number))
    )


def said(rig: Rig) -> list[tuple[str, list[str], str]]:
    """Return type, areas by EPU's number and status of each instruction."""
    return [
        (
            one.instruction_type.rpartition(".")[2],
            one.payload.get("foilhole_ids") or one.payload["gridsquare_ids"],
            f"{one.status}, {one.held}" if one.held and one.status == "pending" else one.status,
        )
        for one in instructions(rig)
    ]


def squares(plot: Plot, *values: float) -> list[dict[str, object]]:
    return [square_body(plot.square_uuid(n), value) for n, value in enumerate(values, 1)]


def holes(plot: Plot, square: int, *values: float) -> list[dict[str, object]]:
    numbers = plot.hole_ids(square)
    return [
        hole_body(plot.hole_uuid(hole), value) for hole, value in zip(numbers, values, strict=True)
    ]


async def test_a_batch_of_squares_makes_one_instruction_of_each_kind_with_its_trail(
    rig: Rig,
) -> None:
    plot = Plot(squares=5)
    ident = await open_session(rig, plot, Mode.AUTO)

    await rig.tell(*squares(plot, 0.85, 0.5, 0.2, 0.95, 0.3))

    assert said(rig) == [
        ("reorder_gridsquares", ["4", "1"], "pending"),
        ("skip_gridsquares", ["5", "3"], "pending"),
    ]
    forward, skip = instructions(rig)
    assert (forward.session_id, forward.agent_id) == (ident, "epu-agent-1")
    assert (forward.threshold, skip.threshold) == (0.8, 0.3)
    decided = {one.area_uuid: one.id for one in rig.all(select(Decision))}
    best = forward.evidence[0]
    assert best["target_uuid"] == str(plot.square_uuid(4))
    assert (best["value"], best["decision_id"]) == (0.95, str(decided[plot.square_uuid(4)]))
    assert best["message_uuid"] in {str(row.id) for row in rig.messages()}
    assert forward.extra is not None
    assert forward.extra["athena"]["session_names"][0] == f"Grid_{plot.name}"
    assert {one["value"] for one in forward.extra["athena"]["decisions"]} == {"true"}


async def test_the_good_holes_of_each_square_make_one_instruction(rig: Rig) -> None:
    plot = Plot()
    await open_session(rig, plot, Mode.AUTO)

    await rig.tell(*holes(plot, 1, 0.9, 0.1, 0.8), *holes(plot, 2, 0.7, 0.7, 0.7))

    assert said(rig) == [("reorder_foilholes", ["11", "13"], "pending")]
    (one,) = instructions(rig)
    assert one.payload["gridsquare_id"] == "1"
    decision = rig.all(select(Decision).where(col(Decision.id) == one.decision_id))
    assert decision[0].area_uuid == plot.square_uuid(1)


async def test_the_same_is_said_once_however_often_it_is_predicted(rig: Rig) -> None:
    plot = Plot()
    await open_session(rig, plot, Mode.AUTO)
    first = [*squares(plot, 0.9, 0.2), *holes(plot, 1, 0.9, 0.1, 0.8)]

    await rig.tell(*first)
    await rig.tell(*first, *squares(plot, 0.95, 0.1), *holes(plot, 1, 0.85, 0.1, 0.9))
    await rig.drain(SCORES, plot.grid)

    assert sorted(kind for kind, _, _ in said(rig)) == [
        "reorder_foilholes",
        "reorder_gridsquares",
        "skip_gridsquares",
    ]


async def test_what_is_not_with_its_agent_yet_is_taken_back_when_a_prediction_contradicts(
    rig: Rig,
) -> None:
    plot = Plot(squares=3)
    await open_session(rig, plot, Mode.AUTO)
    await rig.tell(*squares(plot, 0.9, 0.8, 0.2), *holes(plot, 1, 0.9, 0.1, 0.8))

    await rig.tell(*squares(plot, 0.1), hole_body(plot.hole_uuid(11), 0.2))

    kept = [(kind, areas) for kind, areas, state in said(rig) if state == "pending"]
    assert sorted(kept) == [
        ("reorder_foilholes", ["13"]),
        ("reorder_gridsquares", ["2"]),
        ("skip_gridsquares", ["1"]),
        ("skip_gridsquares", ["3"]),
    ]
    assert [one.ended_because for one in instructions(rig) if one.status == "cancelled"] == [
        "cancelled by athanor: a newer prediction says otherwise"
    ] * 2


async def test_what_an_agent_has_received_stays_and_the_opposite_is_said_after_it(
    rig: Rig,
) -> None:
    plot = Plot(squares=1)
    ident = await open_session(rig, plot, Mode.AUTO)
    await rig.tell(*squares(plot, 0.9))
    (one,) = instructions(rig)
    where = rig.resources
    await agent_streams.open_stream(
        where, agent_id="epu-agent-1", session_id=ident, connection_id="s", client_info={}
    )
    channel = ChannelWriter(where)
    await channel.claim(session_id=ident, connection_id="s")
    await channel.acknowledge(
        agent_id="epu-agent-1",
        session_id=ident,
        instruction_id=one.id,
        said=Said(Ack.RECEIVED),
    )

    await rig.tell(*squares(plot, 0.1))

    assert said(rig) == [
        ("reorder_gridsquares", ["1"], "received"),
        ("skip_gridsquares", ["1"], "pending"),
    ]


async def test_what_a_person_rejected_is_not_asked_again(rig: Rig) -> None:
    plot = Plot(squares=1)
    await open_session(rig, plot, Mode.SEMI_AUTO)
    await rig.tell(*squares(plot, 0.9))
    (one,) = instructions(rig)
    await rig.database.write(making.reject, one.id, by="ada", reason=None, now=utcnow())

    await rig.tell(*squares(plot, 0.95))

    assert said(rig) == [("reorder_gridsquares", ["1"], "cancelled")]


@pytest.mark.parametrize(
    ("mode", "state"),
    [(Mode.DRY_RUN, "pending, dry-run"), (Mode.SEMI_AUTO, "pending, approval")],
    ids=["dry-run", "semi-auto"],
)
async def test_only_auto_sends_and_only_semi_auto_asks_a_person_once(
    rig: Rig, mode: Mode, state: str
) -> None:
    plot = Plot(squares=2)
    ident = await open_session(rig, plot, mode)

    await rig.tell(*squares(plot, 0.9))
    await rig.tell(square_body(plot.square_uuid(2), 0.1))

    assert [one[2] for one in said(rig)] == [state, state]
    asked = [payload for name, payload in rig.events if name == AWAITING]
    expected = [{"session_id": ident, "through": "1"}] if mode == Mode.SEMI_AUTO else []
    assert asked == expected


async def test_thresholds_are_the_sessions_own_and_no_decision_is_contradicted(rig: Rig) -> None:
    plot = Plot(squares=3)
    # A square at 0.45 is decided against and one at 0.55 for, by the policy's 0.5.
    thresholds = Thresholds(square_forward=0.42, square_skip=0.4, hole_forward=0.99)
    await open_session(rig, plot, Mode.AUTO, thresholds=thresholds)

    await rig.tell(*squares(plot, 0.45, 0.55, 0.4), *holes(plot, 1, 0.9, 0.9, 0.98))

    assert said(rig) == [
        ("reorder_gridsquares", ["2"], "pending"),
        ("skip_gridsquares", ["3"], "pending"),
    ]


async def test_without_a_session_nothing_is_made_and_another_grids_session_hears_nothing(
    rig: Rig,
) -> None:
    plot, other = Plot(), Plot()
    await rig.tell(*plot.files())
    ident = await open_session(rig, other, Mode.AUTO)

    await rig.tell(*squares(plot, 0.9, 0.1))

    assert instructions(rig) == []
    await rig.database.write(sessions.end, ident, now=utcnow())
    await rig.tell(*squares(other, 0.9, 0.1))
    assert instructions(rig) == []
    assert [one.status for one in rig.all(select(AgentSession))] == ["ended"]
