"""Migrations and models say the same, up and down."""

import subprocess
import sys
from pathlib import Path

from sqlalchemy import inspect, select
from sqlmodel import SQLModel, col

from models import migrations, revision
from models.cryoem.decision_tables import QualityMetric
from models.database import Database
from models.registry import all_tables
from tests.support import PATIENCE

ROOT = Path(__file__).resolve().parents[3]


def _tables(database: Database) -> set[str]:
    # A fresh inspector each time: one remembers what it saw.
    return set(inspect(database.engine).get_table_names())


def _names(database: Database) -> dict[str, set[str | None]]:
    """Return the names of keys, constraints and indexes of each table."""
    found = inspect(database.engine)
    return {
        table: {
            found.get_pk_constraint(table)["name"],
            *(key["name"] for key in found.get_foreign_keys(table)),
            *(key["name"] for key in found.get_unique_constraints(table)),
            *(index["name"] for index in found.get_indexes(table)),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }


def test_migrated_schema_is_that_of_the_models(database: Database) -> None:
    assert migrations.differences(database) == []
    assert _tables(database) == {"alembic_version", *SQLModel.metadata.tables}


def test_differences_tell_of_a_column_that_the_models_lack(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE grid ADD COLUMN forgotten INTEGER")

    assert len(migrations.differences(database)) == 1


def test_migrated_constraints_have_the_names_that_the_models_give(
    empty_database: Database,
) -> None:
    migrations.upgrade(empty_database)
    migrated = _names(empty_database)
    migrations.downgrade(empty_database)
    all_tables()
    SQLModel.metadata.create_all(empty_database.engine)

    assert migrated == _names(empty_database)
    assert all(None not in names for names in migrated.values())


def test_schema_goes_down_to_nothing_and_up_again(empty_database: Database) -> None:
    migrations.upgrade(empty_database)
    assert migrations.current(empty_database) == migrations.head()
    assert revision.current(empty_database) == revision.newest() == migrations.head()

    migrations.downgrade(empty_database)
    assert _tables(empty_database) == {"alembic_version"}
    assert migrations.current(empty_database) is None
    assert revision.current(empty_database) is None

    migrations.upgrade(empty_database)
    assert migrations.differences(empty_database) == []


def test_upgrade_of_an_upgraded_database_changes_nothing(database: Database) -> None:
    migrations.upgrade(database)

    assert migrations.current(database) == migrations.head()


def test_two_processes_may_upgrade_at_once(empty_database: Database) -> None:
    url = empty_database.url.render_as_string(hide_password=False)
    code = (
        "import sys; from models import migrations; from models.database import Database\n"
        "sys.stdin.read(1); migrations.upgrade(Database(sys.argv[1]))"
    )
    upgrades = [
        subprocess.Popen(
            [sys.executable, "-c", code, url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]

    for upgrade in upgrades:
        assert upgrade.stdin is not None
        upgrade.stdin.write("!")
        upgrade.stdin.flush()
    outcomes = [
        (*upgrade.communicate(timeout=PATIENCE), upgrade.returncode) for upgrade in upgrades
    ]

    assert [(code, errors[-500:]) for _, errors, code in outcomes] == [(0, ""), (0, "")]
    assert migrations.differences(empty_database) == []


def test_quality_metrics_are_there_from_the_start(database: Database) -> None:
    with database.reading() as session:
        metrics = session.execute(
            select(col(QualityMetric.name), col(QualityMetric.larger_is_better))
        ).all()

    assert {(name, larger) for name, larger in metrics} == {
        ("motioncorrection", False),
        ("ctfmaxresolution", False),
        ("numparticles", True),
    }
