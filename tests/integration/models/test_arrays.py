"""Arrays as PostgreSQL reads them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    JSON,
    TEXT,
    BigInteger,
    Boolean,
    DateTime,
    Float,
    Uuid,
    bindparam,
    cast,
    select,
)
from sqlalchemy.types import TypeEngine
from sqlmodel import col

from models.arrays import array_literal
from models.cryoem.tables import Hole
from models.database import Database
from models.json_text import JsonText
from models.sql import one_of

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
KINDS: list[tuple[TypeEngine[Any], st.SearchStrategy[Any]]] = [
    (TEXT(), texts),
    (Uuid(), st.uuids()),
    (Float(), st.floats(allow_nan=False)),
    (BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    (Boolean(), st.booleans()),
    (DateTime(timezone=True), st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001 (hypothesis wants its bounds naive)
]


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    """A database on PostgreSQL."""
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=[str(kind) for kind, _ in KINDS])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_postgresql_reads_the_values_that_were_written(
    postgres: Database, kind: TypeEngine[Any], values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    given_values = data.draw(st.lists(st.none() | values, max_size=20))
    literal = bindparam(None, array_literal(given_values, kind), type_=TEXT)

    with postgres.reading() as session:
        read = session.scalar(select(cast(literal, ARRAY(kind))))

    assert read == given_values


def test_json_is_written_once() -> None:
    assert array_literal([{"a": 'b"'}], JSON()) == r'{"{\"a\": \"b\\\"\"}"}'
    assert array_literal([JsonText('{"a":1}')], JSON()) == r'{"{\"a\":1}"}'


def test_uuids_need_no_quotes() -> None:
    assert array_literal([UUID(int=1), None], Uuid()) == f"{{{UUID(int=1).hex},NULL}}"


def test_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        array_literal([datetime(2026, 1, 1)], DateTime(timezone=True))  # noqa: DTZ001 (the point)


def test_array_is_a_constant_to_the_planner(postgres: Database) -> None:
    """Else PostgreSQL reads its text anew for each row of a table without statistics."""
    with postgres.reading() as session:
        wanted = select(col(Hole.uuid)).where(
            one_of(session, col(Hole.uuid), [UUID(int=n) for n in range(20)])
        )
        compiled = wanted.compile(session.connection())
        plan = session.connection().exec_driver_sql(f"EXPLAIN {compiled}", compiled.params)
        text = " ".join(row[0] for row in plan)

    assert "'{00000000-0000-0000-0000-000000000000," in text
