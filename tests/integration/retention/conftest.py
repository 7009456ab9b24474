"""A session with something in every table that grows."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from core.clock import utcnow
from domains.cryoem.instructions import Status
from models.access.tables import AccessUser, Login, RefreshToken
from models.answers import Answer
from models.audit import AuditEntry
from models.cryoem.decision_tables import Prediction
from models.cryoem.instructions.tables import (
    AgentConnection,
    AgentLog,
    AgentSession,
    Instruction,
    InstructionAck,
    LiveEvent,
)
from models.cryoem.processing_tables import (
    CurrentMeasurement,
    HoleGroup,
    HoleGroupMember,
    Measurement,
    ModelParameter,
)
from models.cryoem.tables import (
    Alias,
    Atlas,
    AtlasTile,
    Grid,
    Hole,
    Micrograph,
    Square,
    TileSquare,
)
from models.cryoem.weight_tables import (
    GridPlan,
    HoleScore,
    MetricStatistics,
    ModelWeight,
    ModelWeightHistory,
)
from models.deliveries import Delivery
from models.visibility.owners import SessionOwner
from tests.integration.api.played import play
from tests.session_fixtures import Here, SmallSession

YEAR = timedelta(days=365)


def instruction(
    agent: str, number: int, at: datetime, status: Status = Status.PROCESSED
) -> Instruction:
    return Instruction(
        id=uuid4(),
        session_id=agent,
        agent_id="titan",
        instruction_type="microscope.control.reorder_foilholes",
        payload={"foilhole_ids": [1, 2], "reason": "good"},
        sequence_number=number,
        status=status,
        created_at=at,
        created_by="athanor",
        expires_at=at + timedelta(minutes=5),
        evidence=[{"value": 0.9}],
    )


def agent_session(session: Session, name: str, at: datetime, grid: UUID | None) -> None:
    """Add an agent's session with an instruction that was acknowledged, and one that was not."""
    session.add(
        AgentSession(
            session_id=name,
            agent_id="titan",
            grid_uuid=grid,
            experimental_parameters={"dose": 40},
            square_forward=0.8,
            square_skip=0.3,
            hole_forward=0.8,
            status="ended",
            created_at=at,
            ended_at=at,
            last_activity_at=at,
        )
    )
    session.flush()
    told, untold = instruction(name, 1, at), instruction(name, 2, at, Status.EXPIRED)
    session.add_all([told, untold])
    session.add(
        AgentConnection(
            connection_id=f"{name}-stream",
            session_id=name,
            agent_id="titan",
            created_at=at,
            last_heartbeat_at=at,
        )
    )
    session.flush()
    session.add(
        InstructionAck(
            id=uuid4(),
            instruction_id=told.id,
            session_id=name,
            agent_id="titan",
            status="processed",
            accepted=True,
            result="reordered",
            created_at=at,
        )
    )
    session.add_all(
        AgentLog(
            session_id=name,
            agent_id="titan",
            timestamp=at,
            level="INFO",
            logger_name="agent",
            message=f"line {number}",
            created_at=at,
        )
        for number in range(5)
    )


def fill(session: Session, grid: UUID) -> None:
    """Add to a played session what it has not got in tables that grow."""
    at = utcnow()
    hole = session.scalars(select(col(Hole.uuid)).where(col(Hole.grid_uuid) == grid)).first()
    square = session.scalars(select(col(Square.uuid)).where(col(Square.grid_uuid) == grid)).first()
    image = session.scalars(
        select(col(Micrograph.uuid)).where(col(Micrograph.grid_uuid) == grid)
    ).first()
    assert hole
    assert square
    assert image
    seq = session.scalars(select(col(Prediction.message_seq)).order_by(col(Prediction.message_seq)))
    first, *_, last = sorted(set(seq))
    message = {"message_uuid": uuid4()}
    atlas, tile, group = uuid4(), uuid4(), uuid4()
    session.add(Atlas(uuid=atlas, grid_uuid=grid, name="atlas", life_seq=first))
    session.flush()
    session.add(AtlasTile(uuid=tile, atlas_uuid=atlas, tile_id="1"))
    session.add(HoleGroup(uuid=group, grid_uuid=grid, message_seq=last, updated_at=at, **message))
    session.flush()
    session.add(Alias(uuid=uuid4(), target_uuid=hole, entity="foilhole", grid_uuid=grid))
    session.add(TileSquare(tile_uuid=tile, square_uuid=square, x=1.5))
    for number in (first, last):
        session.add(HoleGroupMember(group_uuid=group, message_seq=number, hole_uuid=hole))
        session.add(
            Measurement(
                message_seq=number,
                name="total_motion",
                micrograph_uuid=image,
                grid_uuid=grid,
                metric_name="motioncorrection",
                value=12.25,
                quality=0.1,
                distribution={"bins": [1, 2.5], "é": None},
                measured_at=at,
                **message,
            )
        )
    session.add(
        CurrentMeasurement(
            micrograph_uuid=image,
            name="total_motion",
            grid_uuid=grid,
            value=12.25,
            message_seq=last,
            measured_at=at,
            **message,
        )
    )
    session.add(
        Prediction(
            message_seq=first - 1 if first > 1 else last + 1_000,
            target_uuid=hole,
            grid_uuid=grid,
            level="foilhole",
            model_name="holes-net",
            value=0.1,
            predicted_at=at,
            **message,
        )
    )
    session.add(
        ModelParameter(
            grid_uuid=grid,
            model_name="holes-net",
            key="ice",
            value=1 / 3,
            message_seq=last,
            updated_at=at,
            **message,
        )
    )
    session.add(
        MetricStatistics(
            grid_uuid=grid, metric_name="motioncorrection", count=1, mean=1, m2=0, updated_at=at
        )
    )
    session.add(
        ModelWeight(
            grid_uuid=grid,
            metric_name="motioncorrection",
            model_name="holes-net",
            weight=1,
            updated_at=at,
        )
    )
    for number in (-7, last):
        session.add(
            ModelWeightHistory(
                message_seq=number,
                metric_name="motioncorrection",
                model_name="holes-net",
                grid_uuid=grid,
                step=1,
                weight=1,
                changed_at=at,
            )
        )
    if session.get(GridPlan, grid) is None:
        session.add(GridPlan(grid_uuid=grid, planner="classic"))
    if session.get(HoleScore, hole) is None:
        session.add(
            HoleScore(
                hole_uuid=hole,
                grid_uuid=grid,
                score=0.5,
                expected=0.5,
                uncertainty=0.1,
                refreshed_at=at,
            )
        )
    agent_session(session, f"titan-{grid}", at, grid)
    _fill_around(session, grid, at)


def _fill_around(session: Session, grid: UUID, at: datetime) -> None:
    session.add(
        SessionOwner(
            key=str(grid), uuid=grid, organisation="bag-7", claimed_by="ana", claimed_at=at
        )
    )
    session.add(AuditEntry(at=at, caller="ana", caller_kind="user"))
    session.add(AuditEntry(at=at, caller="ana", caller_kind="user"))
    user, login = uuid4(), uuid4()
    session.add(
        AccessUser(
            uuid=user,
            name=f"ana {grid}",
            password_hash="x",
            role="viewer",
            created_at=at,
            password_changed_at=at,
        )
    )
    session.flush()
    session.add(Login(uuid=login, user_uuid=user, created_at=at, expires_at=at))
    session.flush()
    session.add(RefreshToken(token_hash=str(login), login_uuid=login, issued_at=at))
    session.add(Answer(id=uuid4(), digest="d", body="{}", answered_at=at))
    session.add(Delivery(id=uuid4(), source="mq", stored_at=at, digests=b"1" * 12))
    for number in range(2):
        session.add(LiveEvent(event_type="agent", data={"n": number}, created_at=at))


@pytest.fixture
async def lived(here: Here) -> UUID:
    """The grid of a session that was played to its end, with rows in every table that grows."""
    grid = (await play(here, SmallSession())).grid
    await here.resources.database.write(fill, grid)
    return grid


async def another(here: Here, name: str) -> UUID:
    """Play one more session and return its grid."""
    return (await play(here, SmallSession(squares=1, holes=1, name=name))).grid


def grids(session: Session) -> set[UUID]:
    return set(session.scalars(select(col(Grid.uuid))))
