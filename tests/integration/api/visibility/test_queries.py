"""What a caller's queries find, whatever they ask: only what belongs to their organisations."""

from uuid import uuid4

import pytest
from sqlalchemy import delete, exists, func, select, text, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, SQLModel, col

from core.clock import utcnow
from core.errors import OrganisationUnclear, OutOfSight
from domains.cryoem import ids
from models.cryoem.decision_tables import CurrentPrediction, Decision, Prediction
from models.cryoem.tables import Acquisition, Grid, Hole, Square
from models.database import Database
from models.inbox import InboxMessage
from models.registry import all_tables
from models.sql import insert_ignore, insert_or_replace, table_of, update_each
from models.visibility import rules
from models.visibility.choice import choosing
from tests.integration.api.visibility.conftest import Two, asked_by


def counts(database: Database, *organisations: str) -> dict[str, int]:
    """Return how many rows of each table somebody of these organisations finds."""
    with asked_by(*organisations), database.reading() as session:
        return {
            table_of(model).name: session.scalar(select(func.count()).select_from(model)) or 0
            for model in all_tables()
            if not rules.is_everybodys(table_of(model))
        }


def test_every_table_says_to_whom_its_rows_belong() -> None:
    assert [model for model in all_tables() if not rules.has_rule(table_of(model))] == []


async def test_rows_of_each_table_are_those_of_the_callers_organisations(
    database: Database, two: Two
) -> None:
    of_a, of_b, of_both, of_none = (
        counts(database, *who) for who in (("a",), ("b",), ("a", "b"), ())
    )

    with database.reading() as session:
        everything = {
            name: session.scalar(select(func.count()).select_from(SQLModel.metadata.tables[name]))
            for name in of_a
        }
    assert {"grid", "acquisition", "hole", "prediction", "decision", "inbox_message"} <= {
        name for name, count in of_a.items() if count
    }
    assert of_a == of_b
    assert of_both == everything == {name: 2 * count for name, count in of_a.items()}
    assert set(of_none.values()) == {0}


async def test_a_condition_holds_wherever_in_a_statement_a_table_stands(
    database: Database, two: Two
) -> None:
    other = aliased(Square)
    theirs = select(col(Square.uuid)).where(col(Square.grid_uuid) == two.a.grid)
    table = table_of(Hole)
    asked = {
        "by key": select(Grid).where(col(Grid.uuid) == two.a.grid),
        "alias": select(other.uuid).where(other.grid_uuid == two.a.grid),
        "subquery": select(col(Grid.uuid)).where(col(Grid.uuid) == two.a.grid, exists(theirs)),
        "in": select(col(Prediction.value)).where(col(Prediction.target_uuid).in_(theirs)),
        "derived": select(theirs.subquery().c.uuid),
        "cte": select(theirs.cte().c.uuid),
        "union": theirs.union_all(theirs),
        "join": select(col(Hole.uuid)).join(Grid).where(col(Grid.uuid) == two.a.grid),
        "plain table": select(table).where(table.c.grid_uuid == two.a.grid),
        "plain columns": select(table.c.uuid).where(table.c.grid_uuid == two.a.grid),
        "message": select(InboxMessage).where(col(InboxMessage.key) == str(two.a.grid)),
    }
    found = {}
    for organisation in ("a", "b"):
        with asked_by(organisation), database.reading() as session:
            assert (session.get(Grid, two.a.grid) is None) == (organisation == "b")
            found[organisation] = {
                name: len(session.execute(statement).all()) for name, statement in asked.items()
            }
    assert all(found["a"].values()), found["a"]
    assert not any(found["b"].values()), found["b"]


async def test_a_statement_that_nothing_can_be_added_to_is_refused(
    database: Database, two: Two
) -> None:
    table = table_of(Hole)
    with asked_by("b"):
        for refused in (
            text("SELECT uuid FROM hole"),
            select(select(table.c.uuid).subquery().c.uuid),
            select(col(Square.uuid)).join(table, table.c.square_uuid == col(Square.uuid)),
            update(table).values(quality=0),
            delete(table),
        ):
            with database.reading() as session, pytest.raises(AssertionError, match="passes by"):
                session.execute(refused)
            with database.reading() as session, pytest.raises(AssertionError, match="passes by"):
                session.connection().execute(select(table))


async def test_another_organisations_rows_are_neither_changed_nor_deleted(
    database: Database, two: Two
) -> None:
    def change(session: Session) -> tuple[int, ...]:
        hole = ids.hole_uuid(two.a.grid, two.a.holes[1][0])
        changed = session.execute(
            update(Hole).where(col(Hole.grid_uuid) == two.a.grid).values(quality=0.1)
        )
        deleted = session.execute(
            delete(Decision).where(col(Decision.grid_uuid).in_([two.a.grid, uuid4()]))
        )
        each = update_each(session, Hole, [{"uuid": hole, "quality": 0.2}], key="uuid")
        return changed.rowcount, deleted.rowcount, each  # pyright: ignore[reportAttributeAccessIssue]

    with asked_by("b"):
        assert await database.write(change) == (0, 0, 0)
    with asked_by("a"):
        assert all(await database.write(change))


async def test_nothing_is_put_below_what_the_caller_does_not_see(
    database: Database, two: Two
) -> None:
    def square_of(grid: object, square: int) -> Square:
        return Square(uuid=ids.square_uuid(two.a.grid, square), grid_uuid=grid, square_id=square)  # pyright: ignore[reportArgumentType]

    prediction = {
        "target_uuid": ids.square_uuid(two.a.grid, 1),
        "model_name": "squares-net",
        "metric_name": "",
        "level": "gridsquare",
        "value": 0.0,
        "message_seq": 10**6,
        "message_uuid": uuid4(),
        "predicted_at": utcnow(),
    }
    with asked_by("b"):
        for write in (
            lambda session: session.add(square_of(two.a.grid, 99)),
            # Its key is that of a square of a's.
            lambda session: session.add(square_of(two.b.grid, 1)),
            lambda session: insert_ignore(
                session, Square, [square_of(two.a.grid, 98).model_dump()], unique=["uuid"]
            ),
            lambda session: insert_or_replace(
                session,
                CurrentPrediction,
                [{**prediction, "grid_uuid": two.b.grid}],
                unique=["target_uuid", "model_name", "metric_name"],
            ),
            lambda session: insert_or_replace(
                session,
                Acquisition,
                [{"uuid": ids.acquisition_uuid(two.a.manifest), "name": "mine now"}],
                unique=["uuid"],
            ),
        ):
            with pytest.raises(OutOfSight):
                await database.write(write)
        await database.write(lambda session: session.add(square_of(two.b.grid, 99)))


async def test_a_new_acquisition_is_its_makers(database: Database) -> None:
    def make(session: Session) -> None:
        session.add(Acquisition(uuid=uuid4(), name="new"))

    with asked_by("a"):
        await database.write(make)
    with asked_by("a", "b"):
        with pytest.raises(OrganisationUnclear):
            await database.write(make)
        with choosing("b"):
            await database.write(make)
        with choosing("c"), pytest.raises(OutOfSight):
            await database.write(make)

    assert counts(database, "a")["acquisition"] == counts(database, "b")["acquisition"] == 1
